#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# lanes: long
# Random commands on several containers at a time, by a fixed seed, against a model of what each may answer: HUSK_MIXED of
# them over HUSK_MIXED_IDS containers. HUSK_SEED repeats a run.
load helper
setup() { vm_setup; }
teardown() { vm_teardown; }

: "${HUSK_MIXED:=30}" "${HUSK_MIXED_IDS:=3}" "${HUSK_SEED:=7}"

# The model: a container's status by its id; "none" where there is no such container.
declare -gA model

# COMMAND → what it needs, and what it makes of the container. A status that is not listed: the command fails, nothing changes.
#   create none:created   run none:running   start created:running   …
table='
create  none:created
run     none:running
start   created:running
exec    running:running created:created
fails   running:running created:created
pause   running:paused created:paused
resume  paused:running
kill    created:stopped running:stopped paused:stopped
delete  created:none stopped:none
force   none:none created:none running:none paused:none stopped:none
state   created:created running:running paused:paused stopped:stopped
ps      created:created running:running paused:paused stopped:stopped
update  created:created running:running paused:paused
'

do_it() { # COMMAND ID
	case $1 in
	# a file: a pipe would stay open with the container
	create) husk create -b "$BUNDLE" "$2" </dev/null >said 2>&1 3>&- 4>&- ;;
	run) husk run -d -b "$BUNDLE" "$2" </dev/null >said 2>&1 3>&- 4>&- ;;
	exec) [ "$(husk exec "$2" echo "$2" </dev/null)" = "$2" ] ;;
	fails) local rc=0; husk exec "$2" sh -c 'exit 42' </dev/null >/dev/null 2>&1 || rc=$?; [ $rc = 42 ] ;;
	kill) husk kill "$2" KILL >/dev/null 2>&1 && eventually is_status "$2" stopped ;;
	delete) husk delete "$2" >/dev/null 2>&1 ;;
	force) husk delete --force "$2" ;;
	update) husk update --pids-limit $((RANDOM + 10)) "$2" >/dev/null 2>&1 ;;
	*) husk "$1" "$2" >/dev/null 2>&1 ;;
	esac
}

# What a container that was paused when it was created becomes by resume is what it was.
one() { # COMMAND ID
	local was=${model[$2]} now='' pair rc=0
	for pair in $(awk -v c="$1" '$1 == c { $1 = ""; print }' <<<"$table"); do
		[ "${pair%:*}" = "$was" ] && now=${pair#*:}
	done
	[ "$1:$was" = resume:paused ] && now=${before[$2]}
	[ "$1" = pause ] && [ -n "$now" ] && before[$2]=$was
	do_it "$1" "$2" || rc=$?
	if [ -n "$now" ]; then
		[ $rc = 0 ] || { echo "$1 $2, which is $was: status $rc"; tail -n 3 said; grep MemAvailable /proc/meminfo; return 1; }
		model[$2]=$now
	else
		[ $rc != 0 ] || { echo "$1 $2, which is $was: it did it"; return 1; }
	fi
	now=$(status_of "$2" 2>/dev/null) || now=none
	[ "${now:-none}" = "${model[$2]}" ] || { echo "$1 $2, which was $was: it is ${now:-none}, not ${model[$2]}"; return 1; }
}

@test "$HUSK_MIXED random commands on $HUSK_MIXED_IDS containers do what the model says" {
	declare -gA before
	local ids=() commands command id n
	bundle "$(args sleep 100000)"
	mapfile -t commands < <(awk 'NF { print $1 }' <<<"$table")
	for n in $(seq "$HUSK_MIXED_IDS"); do ids+=("$ID-$n"); model[$ID-$n]=none; done
	RANDOM=$HUSK_SEED
	for n in $(seq "$HUSK_MIXED"); do
		id=${ids[RANDOM % ${#ids[@]}]}
		command=${commands[RANDOM % ${#commands[@]}]}
		# A container that is there is more interesting than one that is not.
		[ "${model[$id]}" != none ] || [ $((RANDOM % 3)) = 0 ] || command=run
		one "$command" "$id" || { echo "command no. $n of seed $HUSK_SEED"; false; }
	done
	for id in "${ids[@]}"; do husk delete --force "$id"; done
}
