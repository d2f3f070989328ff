#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The molt authors
#
# ./dev in a copy of its own, with stand-ins for the system's tools: what it
# says and does when packages are missing, there is no network, a build fails.
#
# usage: dev.sh REPOSITORY
set -eu

source=$(realpath "$1")
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
failures=0

mkdir -p "$tree/repo/tools" "$tree/bin"
cp "$source/dev" "$source/CMakePresets.json" "$tree/repo/"
cp "$source/tools/packages.txt" "$tree/repo/tools/"
cd "$tree"

# stand_in NAME SCRIPT: a command that also writes down how it was called.
stand_in() {
    {
        echo '#!/bin/sh'
        echo "echo \"$1 \$*\" >>'$tree/calls'"
        echo "$2"
    } >"bin/$1"
    chmod +x "bin/$1"
}

# run ARG...: ./dev with the stand-ins first in PATH; status in $status.
run() {
    : >calls
    status=0
    PATH=$tree/bin:$PATH repo/dev "$@" >out 2>&1 </dev/null || status=$?
}

# expect STATUS PATTERN WHAT
expect() {
    if [ "$status" != "$1" ] || ! grep -q "$2" out; then
        echo "FAILED: $3: status $status, wanted $1 and '$2' in:"
        cat out
        failures=$((failures + 1))
    fi
}

# called PATTERN | not_called PATTERN
called() {
    grep -q "$1" calls || {
        echo "FAILED: did not call $1, but:"
        cat calls
        failures=$((failures + 1))
    }
}
not_called() {
    ! grep -q "$1" calls || {
        echo "FAILED: called $1:"
        cat calls
        failures=$((failures + 1))
    }
}

all_installed='printf installed'
none_installed='exit 1'
stand_in systemctl ''
stand_in cmake ''
stand_in ninja ''
stand_in gcc ''
stand_in sudo 'exit 1'

run
expect 0 '^    test ' 'no verb lists the verbs'
[ "$(grep -c '^    ' out)" = 11 ] || { echo "FAILED: eleven verbs" && failures=1; }

run frobnicate
expect 1 "there is no verb 'frobnicate'" 'an unknown verb'
run torture -5
expect 1 "whole number of minutes, not '-5'" 'torture with a bad argument'
run build nonsense
expect 1 "there is no preset 'nonsense'" 'an unknown preset'
run install --prefx /tmp
expect 1 "not '--prefx'" 'a mistyped option of install'

# Everything is there: no root, no network.
stand_in dpkg-query "$all_installed"
stand_in apt-get 'exit 1'
stand_in id 'echo 1000'
run build dev
expect 0 'building dev' 'build with all packages'
not_called 'apt-get'

# Not root.
stand_in dpkg-query "$none_installed"
run build dev
expect 1 'apt-get install -y --no-install-recommends gcc ' 'missing packages, not root'
expect 1 'Nothing was changed' 'missing packages, not root'
not_called 'apt-get'
not_called '^cmake '

# Root, but no network.
stand_in id 'echo 0'
stand_in apt-get 'echo "E: Failed to fetch http://deb.debian.org" >&2; exit 100'
run build dev
expect 1 'Is there a network' 'no network'
expect 1 'E: Failed to fetch' 'no network: the reason'
not_called '^cmake '

# Root and network: exactly what the verb's groups name, and only what is missing.
stand_in apt-get ''
# shellcheck disable=SC2016 # stand-ins expand their own arguments
stand_in dpkg-query 'for p; do :; done; [ "$p" = gcc ] || printf installed'
run build dev
expect 0 'installing gcc$' 'one package missing'
called 'apt-get .* install -y --no-install-recommends gcc$'
not_called 'apt-get .*haproxy'

# No compiler in spite of it all.
stand_in dpkg-query "$all_installed"
rm bin/gcc
mkdir only
for tool in sh awk sed grep dirname cat mkdir nproc id env rm head tail; do
    ln -s "$(command -v $tool)" "only/$tool"
done
: >calls
status=0
PATH=$tree/bin:$tree/only repo/dev build dev >out 2>&1 || status=$?
expect 1 'there is no gcc' 'no compiler'

# The last line of test counts; ctest's result file decides.
stand_in gcc ''
stand_in ctest "printf '\t<testcase name=\"a\" classname=\"a\" status=\"run\">\n' >build/dev/results.xml
printf '\t<testcase name=\"b\" classname=\"b\" status=\"fail\">\n' >>build/dev/results.xml
printf '\t<testcase name=\"c\" classname=\"c\" status=\"notrun\">\n' >>build/dev/results.xml
printf '\t\t<skipped message=\"Unable to find executable\"/>\n' >>build/dev/results.xml
exit 8"
run test
expect 1 '^1 passed, 2 failed$' 'a failing and a missing test'
[ "$(tail -n 1 out)" = '1 passed, 2 failed' ] || { echo "FAILED: last line" && failures=1; }
called 'ctest .*--label-exclude torture'

stand_in ctest "printf '\t<testcase name=\"a\" classname=\"a\" status=\"run\">\n' >build/dev/results.xml"
run test
expect 0 '^1 passed, 0 failed$' 'a passing test'

stand_in ctest "echo '<testsuite>' >build/dev/results.xml; exit 8"
run test
expect 1 '^0 passed, 1 failed$' 'no tests at all'

# shellcheck disable=SC2016
stand_in cmake 'case $2 in */clang) echo "warning: x is unused" && exit 1 ;; esac'
stand_in ctest "printf '\t<testcase name=\"a\" classname=\"a\" status=\"run\">\n' >build/dev/results.xml"
run test
expect 1 '^1 passed, 1 failed$' 'a warning of the second compiler'
expect 1 'x is unused' 'a warning of the second compiler'

# shellcheck disable=SC2016
stand_in cmake 'case $1 in --build) echo "error: oops" && exit 1 ;; esac'
run test
expect 1 '^0 passed, 1 failed$' 'a build that fails'
expect 1 'error: oops' 'a build that fails'
not_called '^ctest '

# clean removes build/ and nothing else.
touch repo/keep
run clean
if [ -e repo/build ] || [ ! -e repo/keep ]; then
    echo "FAILED: clean removes build/ and nothing else" && failures=1
fi

[ "$failures" = 0 ]
