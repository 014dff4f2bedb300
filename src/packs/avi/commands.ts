/** The lab's stand-ins for a controller's tasks (`avi`) and an engine's (`se`), as POSIX shell scripts over files. */

const COMMON = `#!/bin/sh
now() { date -u +%Y-%m-%dT%H:%M:%S.%3NZ; }
note() { printf '{"at":"%s","fence":"%s","action":"%s","phase":"%s","outcome":%s}\\n' "$(now)" "$UPSHIFT_FENCE" "$action" "$1" "$2" >> "$LAB/ledger.jsonl"; }
fail() { echo "$1" >&2; [ -n "$begun" ] && note end '"failure"'; exit 1; }
# Faults: "fail ACTION" makes it fail, "reboot ACTION" makes the node reboot in the middle, each as often as the file says.
left() { n=$(cat "$LAB/faults/$1" 2>/dev/null || echo 0); [ "$n" -gt 0 ] || return 1; echo $((n - 1)) > "$LAB/faults/$1"; }
begin() {
  action=$1; begun=1; note begin null
  if left "reboot-$1"; then sleep 0.1; kill -USR2 "$LAB_PID"; sleep 30; fi
  sleep "$LAB_SECONDS"
  if left "$1"; then fail "$1 failed"; fi
}
finish() { note end '"success"'; exit 0; }
image() { echo "$LAB_ROOT/upgrade_pkgs/\${1#controller://upgrade_pkgs/}"; }
version_of() { sed -n 's/^version //p' "$1"; }
`;

const REBOOT = `#!/bin/sh
printf '%s' "$UPSHIFT_FENCE" > "$LAB/reboot_fence"
kill -USR2 "$LAB_PID"
sleep 30
`;

const AVI = `${COMMON}
case $1 in
  image-check)
    case $2 in controller://upgrade_pkgs/*) ;; *) fail "the image is named controller://upgrade_pkgs/NAME, not $2" ;; esac
    wanted=$(cat "$LAB_ROOT/platform"); name=\${2#controller://upgrade_pkgs/}
    [ "$name" = "$wanted" ] || fail "this deployment takes $wanted, not $name"
    file=$(image "$2"); [ -f "$file" ] || fail "there is no image $name under /var/lib/avi/upgrade_pkgs"
    [ "$(sed -n 's/^type //p' "$file")" = controller ] || fail "$name is no controller image"
    [ "$(grep -v '^sha256 ' "$file" | sha256sum | cut -d' ' -f1)" = "$(sed -n 's/^sha256 //p' "$file")" ] || fail "$name is damaged: its digest is wrong" ;;
  task)
    begin "$2"
    case $2 in
      COPY_AND_VERIFY_IMAGE) cp "$(image "$3")" "$LAB/image" || fail "no space left on device" ;;
      INSTALL_IMAGE) version_of "$LAB/image" > "$LAB/next" ;;
      ROLLBACK_IMAGE) echo "$3" > "$LAB/next" ;;
    esac
    finish ;;
  *) echo "avi: unknown command $1" >&2; exit 2 ;;
esac
`;

const SE = `${COMMON}
case $1 in
  version) cat "$LAB/version" ;;
  upgrade) begin SE_UPGRADE; version_of "$(image "$2")" > "$LAB/next"; finish ;;
  rollback) begin SE_ROLLBACK; echo "$2" > "$LAB/next"; finish ;;
  verify) [ "$(cat "$LAB/version")" = "$2" ] || fail "it runs $(cat "$LAB/version"), not $2" ;;
  *) echo "se: unknown command $1" >&2; exit 2 ;;
esac
`;

export const CONTROLLER_COMMANDS: Record<string, string> = { avi: AVI, reboot: REBOOT };
export const ENGINE_COMMANDS: Record<string, string> = { se: SE, reboot: REBOOT };
