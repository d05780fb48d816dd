#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A Debian at work on a share: packages, git, a database, many files. Its root is an overlay, as an engine's would be.
load ../cli/helper

setup() {
	common_setup
	mkdir -p "$BUNDLE" up shared
	# the overlay's writable part must lie on a file system that can be one
	mount -t tmpfs -o size=1500m tmpfs up
	mkdir up/u up/w
	mkdir -p "$BUNDLE/rootfs"
	mount -t overlay -o "lowerdir=$TOP/build/rootfs/debian,upperdir=up/u,workdir=up/w" overlay "$BUNDLE/rootfs"
	bundle '.root.readonly = false' '.process.noNewPrivileges = false' \
		'.process.capabilities |= map_values(. + ["CAP_CHOWN","CAP_DAC_OVERRIDE","CAP_FOWNER","CAP_FSETID","CAP_SETUID","CAP_SETGID","CAP_MKNOD","CAP_SYS_CHROOT"])' \
		".mounts += [{destination: \"/debs\", type: \"bind\", source: \"$TOP/build/rootfs/debs\", options: [\"rbind\", \"ro\"]},
			{destination: \"/out\", type: \"bind\", source: \"$BATS_TEST_TMPDIR/shared\", options: [\"rbind\"]}]" \
		'.linux.resources.memory = {limit: 1000000000}'
}

teardown() {
	umount "$BUNDLE/rootfs"
	umount up
}

inside() { # SCRIPT
	configure "$(args sh -euc "$1")"
	expect 0 husk run -b "$BUNDLE" "$ID"
}

@test "apt-get installs sqlite3 from .deb files, and it works: transactions, WAL, integrity" {
	inside '
		export DEBIAN_FRONTEND=noninteractive
		apt-get install -y /debs/sqlite3_*.deb /debs/libsqlite3-0_*.deb /debs/libreadline8_*.deb /debs/readline-common_*.deb >/out/apt.log 2>&1 || { tail /out/apt.log; exit 1; }
		dpkg -s sqlite3 | grep ^Status
		cd /out
		sqlite3 t.db "pragma journal_mode=wal" "create table t(a integer primary key, b text)" \
			"with recursive n(i) as (select 1 union all select i+1 from n where i < 5000) insert into t select i, hex(randomblob(20)) from n" \
			"select count(*) from t" "pragma integrity_check"'
	[ "$out" = $'Status: install ok installed\nwal\n5000\nok' ]
}

@test "git from .deb files: commits, gc, fsck, clone" {
	inside '
		for d in /debs/git_*.deb /debs/libpcre2* /debs/zlib1g* ; do [ ! -e $d ] || dpkg-deb -x $d /; done
		export HOME=/root
		git config --global user.email a@b.c; git config --global user.name n; git config --global init.defaultBranch main
		git init -q /out/r; cd /out/r
		for i in $(seq 60); do mkdir -p d$((i % 7)); echo $i >d$((i % 7))/f$i; done
		git add .; git commit -qm one
		for i in 1 2 3; do echo x >>d1/f1; git commit -qam c$i; done
		git gc -q; git fsck --strict 2>&1 | grep -v ^notice || :
		git clone -q /out/r /out/r2; cd /out/r2; git log --oneline | wc -l; git status --short | wc -l; find . -name "f*" -path "./d*" | wc -l'
	[ "$out" = $'4\n0\n60' ]
}

@test "tar of many files reads the same in the guest as on the host, and what it unpacks is the same" {
	mkdir src
	(cd src && for d in $(seq 100); do mkdir d$d; done &&
		awk -v n="${HUSK_MANY_FILES:-600}" 'BEGIN { for (i = 0; i < n; i++) { f = "d" (i % 100 + 1) "/file" i; printf "%d %s\n", i * 7919, f > f; close(f) } }')
	ln -s d1/file0 src/link
	ln src/d2/file1 src/hard
	chmod 640 src/d3/file2
	chown 123:456 src/d3/file2
	chmod 4755 src/d4/file3
	configure ".mounts += [{destination: \"/src\", type: \"bind\", source: \"$BATS_TEST_TMPDIR/src\", options: [\"rbind\", \"ro\"]}]"
	inside '
		cd /src && tar --sort=name --numeric-owner -cf - . | sha256sum
		mkdir /out/t && cd /out/t && tar -C /src --sort=name -cf - . | tar --numeric-owner -xpf -'
	want=$(tar -C src --sort=name --numeric-owner -cf - . | sha256sum)
	[ "$out" = "$want" ]
	[ "$(tar -C shared/t --sort=name --numeric-owner -cf - . | sha256sum)" = "$want" ]
}

@test "the host lets go of what it cached: what is mounted in the container stays" {
	configure "$(args sh -c 'touch /out/ready; until [ -e /out/go ]; do sleep 0.1; done; sleep 1.2; ls -d /dev/null /proc/self/status /out/go; true 2>/dev/null && echo well')"
	husk run -b "$BUNDLE" "$ID" >got 2>&1 &
	pid=$!
	until [ -e shared/ready ]; do sleep 0.1; done
	sync
	echo 3 >/proc/sys/vm/drop_caches
	sleep 1.2
	echo 3 >/proc/sys/vm/drop_caches
	touch shared/go
	wait $pid || cat got
	diff got - <<<$'/dev/null\n/out/go\n/proc/self/status\nwell'
}
