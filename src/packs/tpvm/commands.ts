/**
 * The lab's stand-ins for the device's CLI (`slx`) and the application's (`xco`), as POSIX shell scripts over files.
 *
 * A device's directory holds `tpvm.config` (running-config, absent on a replaced device), `tpvm.version`, `tpvm.state` (running, stopped,
 * absent), `tpvm.snapshot`. LAB_ROOT/xco holds `peers` (IP device), `active` (a device), `db/DEVICE`, `joined/DEVICE`; LAB_ROOT/images the
 * firmware host's images.
 */

const COMMON = `#!/bin/sh
now() { date -u +%Y-%m-%dT%H:%M:%S.%3NZ; }
ledger=$LAB/ledger.jsonl
note() { printf '{"at":"%s","fence":"%s","action":"%s","phase":"%s","outcome":%s}\\n' "$(now)" "$UPSHIFT_FENCE" "$action" "$1" "$2" >> "$ledger"; }
fail() { echo "$1" >&2; [ -n "$begun" ] && note end '"failure"'; exit 1; }
begin() { action=$1; begun=1; note begin null; sleep "$LAB_SECONDS"; left=$(cat "$LAB/faults/$action" 2>/dev/null || echo 0); if [ "$left" -gt 0 ]; then echo $((left - 1)) > "$LAB/faults/$action"; return 1; fi; }
finish() { note end '"success"'; exit 0; }
xco=$LAB_ROOT/xco
version_of() { echo "$1" | sed 's/^[^0-9]*\\([0-9][0-9.]*[0-9]\\).*$/\\1/'; }
`;

export const SLX = `${COMMON}
case $1 in
  tpvm-role) if [ "$(cat "$xco/active")" = "$LAB_ID" ]; then echo active; else echo standby; fi ;;
  tpvm-version) cat "$LAB/tpvm.version" ;;
  tpvm-upgrade)
    begin upgrade; fault=$?
    [ "$(cat "$xco/active")" != "$LAB_ID" ] || fail "only the standby node's TPVM may be upgraded"
    echo stopped > "$LAB/tpvm.state"
    rm -f "$xco/joined/$LAB_ID"
    cp "$LAB/tpvm.version" "$LAB/tpvm.snapshot"
    [ -f "$LAB_ROOT/images/$2" ] || fail "the image $2 is not on $3 (the TPVM is stopped already)"
    [ $fault = 0 ] || fail "the image does not boot"
    version_of "$2" > "$LAB/tpvm.version"; echo running > "$LAB/tpvm.state"
    finish ;;
  tpvm-revert)
    begin revert || fail "the snapshot cannot be read"
    [ -f "$LAB/tpvm.snapshot" ] || fail "there is no snapshot"
    cp "$LAB/tpvm.snapshot" "$LAB/tpvm.version"; echo running > "$LAB/tpvm.state"; touch "$xco/joined/$LAB_ID"
    finish ;;
  tpvm-install)
    begin install || fail "the image cannot be unpacked"
    grep -q '^auto-boot ' "$LAB/tpvm.config" 2>/dev/null || fail "auto-boot is not configured"
    version_of "$2" > "$LAB/tpvm.version"; echo stopped > "$LAB/tpvm.state"
    finish ;;
  tpvm-start)
    grep -q '^password ' "$LAB/tpvm.config" 2>/dev/null || fail "no password is configured"
    echo running > "$LAB/tpvm.state" ;;
  *) echo "slx: unknown command $1" >&2; exit 2 ;;
esac
`;

export const XCO = `${COMMON}
device_of() { awk -v ip="$1" '$1 == ip { print $2 }' "$xco/devices"; }
is_peer() { awk -v ip="$1" '$1 == ip { found = 1 } END { exit !found }' "$xco/peers"; }
case $1 in
  pair-check) [ "$(wc -l < "$xco/peers")" -ge 2 ] || fail "XCO runs on a single node; its TPVM cannot be upgraded this way" ;;
  image-check) [ -f "$LAB_ROOT/images/$3" ] || fail "the firmware host $2 has no image $3" ;;
  device-check)
    d=$(device_of "$2"); [ -n "$d" ] || fail "the device $2 is not registered"
    [ -f "$xco/db/$d" ] || fail "the XCO DB has no TPVM configuration for $2"
    [ "$(cat "$xco/active")" != "$d" ] || fail "$2 is the active node; only the standby node's TPVM may be upgraded"
    left=$(cat "$LAB/faults/check" 2>/dev/null || echo 0)
    [ "$left" -eq 0 ] || { echo $((left - 1)) > "$LAB/faults/check"; fail "the TPVM IP of $2 is none of the XCO peers"; } ;;
  tpvm-validate)
    d=$(device_of "$2"); dir=$LAB_ROOT/targets/$d
    left=$(cat "$LAB/faults/validate" 2>/dev/null || echo 0)
    [ "$left" -eq 0 ] || { echo $((left - 1)) > "$LAB/faults/validate"; fail "the device does not answer"; }
    config=false; operational=false; peer=false
    if [ -f "$dir/tpvm.config" ]; then
      config=true
      is_peer "$(sed -n 's/^ip //p' "$dir/tpvm.config")" && peer=true
      cmp -s "$dir/tpvm.config" "$xco/db/$d" || { [ $peer = true ] && cp "$dir/tpvm.config" "$xco/db/$d"; }
    fi
    [ "$(cat "$dir/tpvm.state")" = running ] && operational=true
    printf '{"config":%s,"operational":%s,"peer":%s}\\n' $config $operational $peer ;;
  config-push)
    d=$(device_of "$2"); dir=$LAB_ROOT/targets/$d
    if [ -f "$dir/tpvm.pushed/$3" ] || { [ -f "$dir/tpvm.config" ] && [ ! -d "$dir/tpvm.pushed" ]; }; then exit 0; fi
    if [ "$3" = install ]; then action=config; begin config || fail "the device refuses the configuration"; note end '"success"'; fi
    case $3 in
      install) keys='^(ip|auto-boot) ' ;;
      before-start) keys='^(password|interface|insight|trusted-peer) ' ;;
      after-start) keys='^(hostname|timezone|dns|ntp|ldap|ldap-ca) ' ;;
    esac
    mkdir -p "$dir/tpvm.pushed"
    grep -E "$keys" "$xco/db/$d" >> "$dir/tpvm.config"; touch "$dir/tpvm.pushed/$3" ;;
  peer-redeploy)
    d=$(device_of "$2"); dir=$LAB_ROOT/targets/$d
    begin rejoin || fail "the peer does not rejoin"
    [ "$(cat "$dir/tpvm.state")" = running ] || fail "the TPVM of $2 does not run"
    touch "$xco/joined/$d"; finish ;;
  failover-to-upgraded)
    a=$(cat "$xco/active")
    for d in $(awk '{ print $2 }' "$xco/devices"); do
      [ "$d" = "$a" ] || [ ! -f "$xco/joined/$d" ] || [ "$(cat "$LAB_ROOT/targets/$d/tpvm.version")" = "$(cat "$LAB_ROOT/targets/$a/tpvm.version")" ] || { echo "$d" > "$xco/active"; exit 0; }
    done
    for d in $(awk '{ print $2 }' "$xco/devices"); do [ "$d" = "$a" ] || { [ -f "$xco/joined/$d" ] && exit 0; }; done
    fail "no upgraded node has rejoined" ;;
  *) echo "xco: unknown command $1" >&2; exit 2 ;;
esac
`;
