# SPDX-License-Identifier: Apache-2.0
#
# setup_ENGINE: makes an engine ready in a testbed machine, its storage in memory, its images made here, husk registered as README.md
# says, and writes $WORK/ENGINE.env: what each row reads first.

# husk where `make install` puts it; that was done into build/installed, outside, where it is quick
install_husk() { [ -x /usr/local/bin/husk ] || cp -r "$TOP/build/installed/." /; }

# The text of a configuration file as README.md gives it: the block below the line that names the file.
from_readme() { # FILE
	awk -v name="$1" 'index($0, "`" name "`") { found = 1 } found && /^```$/ { exit } found && inside { print } found && /^```/ { inside = 1 }' \
		"$TOP/README.md"
}

busybox_tar() {
	[ -e "$WORK/bb.tar" ] || tar -C "$TOP/build/rootfs/busybox" --numeric-owner --exclude ./.made -cf "$WORK/bb.tar" .
}

setup_podman() {
	install_husk
	busybox_tar
	mkdir -p /etc/containers
	{
		printf '[containers]\nnetns = "none"\n'
		from_readme /etc/containers/containers.conf
	} >/etc/containers/containers.conf
	echo "podman() { command podman --runtime $RUNTIME \"\$@\"; }; export -f podman" >"$WORK/podman.env"
	. "$WORK/podman.env"
	podman import -q "$WORK/bb.tar" bb:1
}

# Podman with CNI's plug-ins instead of netavark
setup_cni() {
	setup_podman
	printf '[network]\nnetwork_backend = "cni"\ncni_plugin_dirs = ["/usr/lib/cni"]\n' >>/etc/containers/containers.conf
	command podman system reset -f
	podman import -q "$WORK/bb.tar" bb:1
	cp "$WORK/podman.env" "$WORK/cni.env"
}

# Docker builds with its default runtime, so that is the one under test. It has none that is called crun.
start_docker() { # OPTION…
	dockerd --default-runtime "${RUNTIME/#crun/runc}" "$@" >>"$WORK/dockerd.log" 2>&1 &
	eventually docker version
}

setup_docker() {
	install_husk
	busybox_tar
	mkdir -p /etc/docker
	from_readme /etc/docker/daemon.json | jq '.["live-restore"] = true' >/etc/docker/daemon.json
	mount --make-rshared /
	start_docker
	docker import "$WORK/bb.tar" bb:1
	cat >"$WORK/docker.env" <<-ENV
		. $HERE/setup.bash
		restart_docker() { local pid; pid=\$(pgrep -xo dockerd); kill "\$pid"; eventually not kill -0 "\$pid"; start_docker; }
		not() { ! "\$@"; }
		kill_docker() { local p pids; pids=\$(pgrep -x 'dockerd|containerd'); kill -9 \$pids; for p in \$pids; do eventually not kill -0 "\$p"; done; start_docker; }
	ENV
}

start_containerd() {
	containerd >>"$WORK/containerd.log" 2>&1 &
	echo $! >"$WORK/containerd.pid"
	eventually ctr version
}
restart_containerd() {
	local pid
	pid=$(cat "$WORK/containerd.pid")
	kill "$pid"
	eventually not kill -0 "$pid"
	start_containerd
}
not() { ! "$@"; }

# An image for ctr and for pods; its command is what a pod's own first process is.
containerd_image() { # NAMESPACE
	busybox_tar
	if [ ! -e "$WORK/bb-oci.tar" ]; then
		command podman import -q -c 'ENV PATH=/bin:/sbin:/usr/bin:/usr/sbin' -c 'CMD ["/bin/sleep", "1000000"]' "$WORK/bb.tar" localhost/bb:1
		command podman save -q --format oci-archive -o "$WORK/bb-oci.tar" localhost/bb:1
	fi
	ctr -n "$1" image import "$WORK/bb-oci.tar"
}

setup_ctr() {
	install_husk
	start_containerd
	containerd_image default
	echo "RUN='--runc-binary $RUNTIME_PATH'" >"$WORK/ctr.env"
}

# containerd for pods: README.md's lines, the image that pods' own processes are of, and a network by CNI.
setup_cri() { # [systemd]
	install_husk
	mkdir -p /etc/containerd /etc/cni/net.d "$WORK/cri"
	{
		from_readme /etc/containerd/config.toml | if [ -n "${1-}" ]; then sed 's/^# \(SystemdCgroup\)/\1/'; else cat; fi
		[ -z "${1-}" ] || printf '[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]\nSystemdCgroup = true\n'
		printf '[plugins."io.containerd.grpc.v1.cri"]\nsandbox_image = "localhost/bb:1"\n'
		printf '[plugins."io.containerd.grpc.v1.cri".cni]\nbin_dir = "/usr/lib/cni"\n'
	} >/etc/containerd/config.toml
	cat >/etc/cni/net.d/10-pods.conflist <<-'CNI'
		{ "cniVersion": "0.4.0", "name": "pods", "plugins": [
			{ "type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true,
			  "ipam": { "type": "host-local", "ranges": [[{ "subnet": "10.90.0.0/16" }]], "routes": [{ "dst": "0.0.0.0/0" }] } },
			{ "type": "portmap", "capabilities": { "portMappings": true } } ] }
	CNI
	if [ -e "$WORK/containerd.pid" ]; then restart_containerd; else start_containerd; fi
	containerd_image k8s.io
	echo ". $HERE/setup.bash; . $HERE/cri/client.bash; export -f not" >"$WORK/cri.env"
	. "$HERE/cri/client.bash"
	eventually ready
}

setup_build() { setup_podman && cp "$WORK/podman.env" "$WORK/build.env"; }

# A user, with a home on ext4, where overlays are the kernel's own.
add_user() {
	chmod 755 "$WORK"
	chmod 644 "$WORK/bb.tar"
	truncate -s 1G /dev/shm/home.img
	mkfs.ext4 -q -F -O ^has_journal /dev/shm/home.img
	mount -o loop /dev/shm/home.img /home
	useradd -m -s /bin/bash -G kvm ru
	install -d -m 700 -o ru -g ru "/run/user/$(id -u ru)" /home/ru/.config /home/ru/.config/containers /home/ru/d
	{
		printf '[containers]\nnetns = "none"\n'
		from_readme /etc/containers/containers.conf
	} >/home/ru/.config/containers/containers.conf
}

setup_rootless() {
	install_husk
	busybox_tar
	add_user
	cat >"$WORK/rootless.env" <<-'ENV'
		podman() { (cd /home/ru && runuser -u ru -- env HOME=/home/ru XDG_RUNTIME_DIR="/run/user/$(id -u ru)" STORAGE_DRIVER=overlay podman --runtime "$RUNTIME" "$@"); }
		export -f podman
	ENV
	. "$WORK/rootless.env"
	podman import -q "$WORK/bb.tar" bb:1
}

# Where systemd is the first process: every engine takes it for the control groups.
setup_systemd() {
	[ -d /run/systemd/system ]
	setup_podman
	add_user
	mkdir -p /etc/docker
	from_readme /etc/docker/daemon.json >/etc/docker/daemon.json
	loginctl enable-linger ru
	systemctl start "user@$(id -u ru)"
	{
		cat "$WORK/podman.env"
		echo ". $HERE/setup.bash; not() { ! \"\$@\"; }; export -f not"
	} >"$WORK/systemd.env"
}
