# SPDX-License-Identifier: Apache-2.0
#
# The kubelet's side of the Container Runtime Interface, for rows. gRPC is little without its library: a message behind five bytes, posted by curl
# over HTTP/2; protoc turns text into messages and back (runtime.proto).
#
#   cri CALL [TEXT…]                   one call, its message the TEXTs merged; the answer as text. Fails with what the other side says
#   pod NAME [TEXT…]                   RunPodSandbox with more of PodSandboxConfig
#   created POD NAME [TEXT…] -- CMD…   CreateContainer with more of ContainerConfig
#   container POD NAME [TEXT…] -- CMD… and StartContainer
#   inside NAME CMD…                   ExecSync: what it writes, its status
#   of NAME FIELD                      ContainerStatus, one field of it
#   logs NAME                          what the container wrote, of its log file
#   away NAME                          the pod is stopped and removed, as the kubelet does it
#   id NAME                            of a pod or container
#   stream [OPTION…] CALL [TEXT…]      Exec, Attach or PortForward, and the connection that its answer names (stream.py)
#   nothing_of POD                     what it left: shims, mounts, namespaces; machines that are nobody's
export PODS=$WORK/cri

cri() {
	local call=$1 t=$ROW_DIR/cri.$BASHPID key value status='' message='' n
	shift
	protoc -I "$HERE/cri" --encode="runtime.v1.$call" runtime.proto <<<"$*" >"$t.message" || { echo "in: $*" >&2; return 2; }
	n=$(stat -c %s "$t.message")
	printf -v n '\\0\\x%02x\\x%02x\\x%02x\\x%02x' $((n >> 24)) $((n >> 16 & 255)) $((n >> 8 & 255)) $((n & 255))
	{ printf "$n" && cat "$t.message"; } >"$t.request"
	curl -sS --http2-prior-knowledge --unix-socket /run/containerd/containerd.sock -H 'content-type: application/grpc' -H 'te: trailers' \
		--data-binary "@$t.request" -D "$t.head" -o "$t.answer" "http://cri/runtime.v1.RuntimeService/$call" 2>"$t.err" || cat "$t.err" >&2
	while IFS=$' :\r' read -r key value; do
		case $key in grpc-status) status=${value%$'\r'} ;; grpc-message) message=${value%$'\r'} ;; esac
	done <"$t.head"
	if [ "$status" != 0 ]; then
		printf '%s: %b\n' "$call" "${message//%/\\x}" >&2
		return 1
	fi
	tail -c +6 "$t.answer" | protoc -I "$HERE/cri" --decode="runtime.v1.${call}Response" runtime.proto
}

ready() { [ "$(cri Status | grep -c 'status: true')" = 2 ]; }
id() { cat "$PODS/$1.id"; }
# text of a field, by protoc's text: strings without their quotes
field() { sed -nE "s/^ *$1: //; t found; b; :found s/^\"(.*)\"\$/\1/; p"; }
# a list of strings
words() { # FIELD WORD…
	local w
	for w in "${@:2}"; do
		printf '%s: "%s" ' "$1" "$(sed 's/[\\"]/\\&/g; $!s/$/\\n/' <<<"$w" | tr -d '\n')"
	done
}

# Each container has a process namespace of its own unless the pod says other, which is the kubelet's default, not the interface's.
OWN_PIDS='linux { security_context { namespace_options { pid: CONTAINER } } }'

pod() {
	local name=$1 text
	shift
	mkdir -p "$PODS/logs/$name" "/sys/fs/cgroup/kubepods/pod-$name"
	for text in "metadata { name: '$name' uid: 'uid-$name' namespace: 'default' } log_directory: '$PODS/logs/$name'
		linux { cgroup_parent: '/kubepods/pod-$name' }" "$OWN_PIDS" "$@"; do
		printf 'config { %s }\0' "$text"
	done >"$PODS/$name.pod"
	mapfile -d '' -t text <"$PODS/$name.pod"
	text=$(cri RunPodSandbox "runtime_handler: '$([ "$RUNTIME" = husk ] && echo husk || echo runc)'" "${text[@]}") || return
	field pod_sandbox_id <<<"$text" >"$PODS/$name.id"
}

created() {
	local pod=$1 name=$2 texts text
	shift 2
	mapfile -d '' -t texts <"$PODS/$pod.pod"
	texts=("pod_sandbox_id: '$(id "$pod")'" "${texts[@]/#config/sandbox_config}")
	texts+=("config { metadata { name: '${name%.*}' attempt: $([[ $name != *.* ]] && echo 0 || echo "${name##*.}") } image { image: 'localhost/bb:1' } log_path: '$name.log' $OWN_PIDS }")
	for (( ; $#; )); do
		[ "$1" != -- ] || { shift; break; }
		texts+=("config { $1 }")
		shift
	done
	texts+=("config { $(words command "$@") }")
	text=$(cri CreateContainer "${texts[@]}") || return
	field container_id <<<"$text" >"$PODS/$name.id"
	echo "$PODS/logs/$pod/$name.log" >"$PODS/$name.log"
}
started() { cri StartContainer "container_id: '$(id "$1")'"; }
container() { created "$@" && started "$2"; }

inside() {
	local answer text
	answer=$(cri ExecSync "container_id: '$(id "$1")' timeout: ${EXEC_TIMEOUT:-60} $(words cmd "${@:2}")") || return 125
	printf '%b' "$(field stderr <<<"$answer")" >&2
	printf '%b' "$(field stdout <<<"$answer")"
	text=$(field exit_code <<<"$answer")
	return "${text:-0}"
}

of() { cri ContainerStatus "container_id: '$(id "$1")'" | field "$2"; }
exited() { [ "$(of "$1" state)" = CONTAINER_EXITED ]; }
logs() { sed 's/^[^ ]* [^ ]* [FP] //' "$(cat "$PODS/$1.log")"; }
logged_by() { grep -qF -- "$2" <<<"$(logs "$1")"; } # NAME TEXT
stop() { cri StopContainer "container_id: '$(id "$1")' timeout: ${2:-0}"; }
remove() { cri RemoveContainer "container_id: '$(id "$1")'"; }

away() {
	local name
	for name; do
		cri StopPodSandbox "pod_sandbox_id: '$(id "$name")'"
		cri RemovePodSandbox "pod_sandbox_id: '$(id "$name")'"
		# the kubelet's own, which goes when nothing of the pod's is in it
		eventually rmdir "/sys/fs/cgroup/kubepods/pod-$name"
	done
}

stream() {
	local options=()
	while [[ $1 == -* ]]; do options+=("$1"); shift; done
	python3 "$HERE/cri/stream.py" "${options[@]}" "$(cri "$@" | field url)"
}

nothing_of() {
	local id
	for id in "$(id "$1")" $(for f in "$PODS/logs/$1"/*.log; do cat "$PODS/$(basename "$f" .log).id"; done); do
		! grep -F "$id" /proc/self/mountinfo && ! pgrep -af "$id" && [ ! -e "/run/containerd/runc/k8s.io/$id" ] || return
	done
	[ "$(ls /run/netns | grep -c ^cni-)" = "$(cri ListPodSandbox | grep -c ^items)" ] || return
	[ "$RUNTIME" != husk ] || [ "$(pgrep -xc husk-machine)" = "$(cri ListPodSandbox | grep -c ^items)" ]
}
export -f cri id field words of exited logs inside stream
