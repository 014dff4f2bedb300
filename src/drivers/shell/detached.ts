/**
 * Commands that outlive whoever started them.
 *
 * A small wrapper on the target runs the command in a session of its own, keyed by its fence, and keeps what it prints and how it ended in
 * a folder there. Whatever happens to the connection or to Upshift, the folder tells afterwards what became of it.
 *
 *     ~/.upshift/jobs/RUN/MACHINE/VISIT.ATTEMPT/
 *       boot      the boot id of the machine when it was started
 *       command   what is run
 *       go/       claimed by whoever comes first: the job, to run, or an observer, to make sure that it never will
 *       pid       the job's process, leader of its own session
 *       output    what it printed
 *       exit      its exit code, there only once it has ended
 *
 * Invariants
 * - D1 A fence is started at most once: making its folder is atomic, and a second start is refused (exit code 120).
 * - D2 `absent` is said only when the job can no longer begin: the observer holds `go`, or made the folder itself.
 * - D4 The folder is on the disk before the job begins: a power cut of the target cannot make it look absent afterwards.
 * - D3 Jobs of earlier visits of the same member are removed when a later one starts: their results are durable by then. What is left
 *      of runs that have started nothing for a week is removed.
 * - D4 The command runs as if it had been typed: with the umask of the login, whatever the wrapper uses for its own files.
 *
 * Everything is POSIX sh; `setsid` and fractions of a second are used where they exist.
 */
import { shellQuote } from '../../model/expression.ts';
import { type Fault, fault } from '../../model/fault.ts';
import { TAIL_BYTES, Tail } from './tail.ts';
import type { RunOptions, Transport } from './transport.ts';

const EXIT_REFUSED = 120;
const EXIT_UNUSABLE = 121;

/** Common to all scripts: $1 is the job's folder below the root. */
const PRELUDE = `
root="\${UPSHIFT_STATE:-$HOME/.upshift}/jobs"
d="$root/$1"
boot_id() { cat "\${UPSHIFT_BOOT_ID:-/proc/sys/kernel/random/boot_id}" 2>/dev/null || echo unknown; }
nap() { sleep "$1" 2>/dev/null || sleep 1; }
never() { echo absent > "$d/exit.new" && mv "$d/exit.new" "$d/exit"; }
`;

/** Streams the output from byte $n on stdout and ends with one line of status on stderr. */
const FOLLOW = `
follow() {
  i=0
  while :; do
    ended=''
    [ -f "$d/exit" ] && ended=1
    s=0
    [ -f "$d/output" ] && s=$(wc -c < "$d/output")
    s=$((s + 0))
    if [ "$s" -gt "$n" ]; then
      if [ $((s - n)) -gt ${TAIL_BYTES} ]; then n=$((s - ${TAIL_BYTES})); fi
      tail -c +$((n + 1)) "$d/output" | head -c $((s - n))
      n=$s
    fi
    if [ -n "$ended" ]; then echo "exit $(cat "$d/exit")" >&2; return 0; fi
    if [ "$(cat "$d/boot" 2>/dev/null)" != "$(boot_id)" ]; then echo "lost reboot" >&2; return 0; fi
    p=$(cat "$d/pid" 2>/dev/null)
    if [ -n "$p" ] && ! kill -0 "$p" 2>/dev/null && [ ! -f "$d/exit" ]; then echo "lost gone" >&2; return 0; fi
    i=$((i + 1))
    if [ $i -lt 20 ]; then nap 0.03; else nap 0.2; fi
  done
}
`;

/** Waits for the job to show itself; where it has not begun, makes sure that it never will and says so. */
const CLAIM = `
umask 077
if [ ! -d "$d" ]; then
  mkdir -p "\${d%/*}" 2>/dev/null
  if mkdir "$d" 2>/dev/null; then boot_id > "$d/boot"; mkdir "$d/go"; never; fi
  [ -d "$d" ] || { echo "unusable" >&2; exit ${EXIT_UNUSABLE}; }
fi
i=0
while [ ! -s "$d/pid" ] && [ ! -f "$d/exit" ] && [ $i -lt 20 ]; do i=$((i + 1)); nap 0.1; done
if [ ! -s "$d/pid" ] && [ ! -f "$d/exit" ] && mkdir "$d/go" 2>/dev/null; then never; fi
if [ "$(cat "$d/exit" 2>/dev/null)" = absent ]; then echo "absent" >&2; exit 0; fi
`;

const START = `${PRELUDE}${FOLLOW}
mask=$(umask)
umask 077
mkdir -p "\${d%/*}" 2>/dev/null || { echo "unusable" >&2; exit ${EXIT_UNUSABLE}; }
if ! mkdir "$d" 2>/dev/null; then echo "refused" >&2; exit ${EXIT_REFUSED}; fi
boot_id > "$d/boot" && printf '%s\\n' "$2" > "$d/command" || { echo "unusable" >&2; exit ${EXIT_UNUSABLE}; }
# On the disk before anything runs: a power cut must not make what ran look as if it never had.
sync "$d/boot" "$d/command" "$d" "\${d%/*}" "\${d%/*/*}" "$root" 2>/dev/null || sync
job='
  trap "" HUP
  mkdir "$1/go" 2>/dev/null || exit 0
  echo $$ > "$1/pid"
  UPSHIFT_FENCE=$2; export UPSHIFT_FENCE
  ( umask "$3"; exec sh "$1/command" ) > "$1/output" 2>&1 < /dev/null
  echo $? > "$1/exit.new"
  mv "$1/exit.new" "$1/exit"
'
if command -v setsid > /dev/null 2>&1; then setsid sh -c "$job" job "$d" "$3" "$mask" > /dev/null 2>&1 < /dev/null &
else sh -c "$job" job "$d" "$3" "$mask" > /dev/null 2>&1 < /dev/null &
fi
touch "$root/\${1%%/*}"
for old in "\${d%/*}"/*; do [ "$old" != "$d" ] && [ -f "$old/exit" ] && rm -rf "$old"; done
find "$root" -mindepth 1 -maxdepth 1 -type d -mtime +7 -exec rm -rf {} + 2> /dev/null
n=0
follow
`;

const OBSERVE = `${PRELUDE}${FOLLOW}${CLAIM}
n=$2
follow
`;

const KILL = `${PRELUDE}${CLAIM}
[ -f "$d/exit" ] && exit 0
# After a reboot the number belongs to something else.
[ "$(cat "$d/boot" 2>/dev/null)" = "$(boot_id)" ] || exit 0
p=$(cat "$d/pid" 2>/dev/null)
[ -n "$p" ] || exit 1
signal() { kill "-$1" "-$p" 2>/dev/null || kill "-$1" "$p" 2>/dev/null; }
signal TERM
i=0
while signal 0 && [ $i -lt 30 ]; do i=$((i + 1)); nap 0.1; done
signal KILL
exit 0
`;

const BOOT = `${PRELUDE}
b=$(cat "$d/boot" 2>/dev/null)
e=$(cat "$d/exit" 2>/dev/null)
echo "\${b:-none} $(boot_id) \${e:-running}"
`;

function script(text: string, ...words: string[]): string {
  return `sh -c ${shellQuote(text)} upshift ${words.map(shellQuote).join(' ')}`;
}

/** A fence as a folder: `run/machine/visit.attempt`. */
export function jobFolder(fence: string): string {
  const [run = '', machine = '', visit = '', attempt = ''] = fence.split('/');
  return [run, machine, `${visit}.${attempt}`].map((part) => part.replaceAll(/^\.+|[^A-Za-z0-9._-]/g, '_')).join('/');
}

export type JobEnd =
  | { kind: 'exit'; exit: number; output: string }
  | { kind: 'absent' }
  | { kind: 'lost'; why: 'reboot' | 'gone' }
  /** The fence was started before, by somebody: observe it. */
  | { kind: 'refused' }
  | { kind: 'unreachable'; fault: Fault }
  | { kind: 'cut'; fault: Fault }
  | { kind: 'unusable'; fault: Fault }
  | { kind: 'stopped'; output: string };

export type JobOptions = Pick<RunOptions, 'signal' | 'deadline' | 'patienceMs'> & { output(text: string): void };

/** Starts a command under its fence and follows it to its end. */
export function startJob(transport: Transport, fence: string, command: string, options: JobOptions): Promise<JobEnd> {
  return followed(transport, script(START, jobFolder(fence), command, fence), fence, options);
}

/** Follows what was started under a fence to its end, or makes sure that it never starts. */
export function observeJob(transport: Transport, fence: string, options: JobOptions): Promise<JobEnd> {
  return followed(transport, script(OBSERVE, jobFolder(fence), '0'), fence, options);
}

/** Ends what was started under a fence: TERM, then KILL after three seconds. Whether it surely runs no more. */
export async function killJob(transport: Transport, fence: string, options: Pick<RunOptions, 'signal' | 'deadline'>): Promise<boolean> {
  const ran = await transport.run(script(KILL, jobFolder(fence)), { ...options, onStdout: () => {}, onStderr: () => {} });
  return ran.kind === 'ended' && ran.exit === 0;
}

/** The boot id when the job was started, that of now, and the job's exit code; undefined where the target cannot be asked. */
export async function bootOf(
  transport: Transport,
  fence: string,
  options: Pick<RunOptions, 'signal' | 'deadline' | 'patienceMs'>,
): Promise<{ before: string; now: string; exit: string } | undefined> {
  const out = new Tail();
  const ran = await transport.run(script(BOOT, jobFolder(fence)), { ...options, onStdout: (chunk) => out.push(chunk), onStderr: () => {} });
  if (ran.kind !== 'ended' || ran.exit !== 0) return undefined;
  const [before = '', now = '', exit = ''] = out.text().trim().split(' ');
  return { before, now, exit };
}

async function followed(transport: Transport, command: string, fence: string, options: JobOptions): Promise<JobEnd> {
  const { output, ...rest } = options;
  const printed = new Tail();
  const status = new Tail();
  const decoder = new TextDecoder();
  const ran = await transport.run(command, {
    ...rest,
    onStdout: (chunk) => {
      printed.push(chunk);
      output(decoder.decode(chunk, { stream: true }));
    },
    onStderr: (chunk) => status.push(chunk),
  });
  if (ran.kind === 'stopped') return { kind: 'stopped', output: printed.text() };
  if (ran.kind !== 'ended') return ran;
  const said = status.text().trim().split('\n').at(-1) ?? '';
  const [word, value = ''] = said.split(' ');
  if (word === 'exit' && /^\d+$/.test(value)) return { kind: 'exit', exit: Number(value), output: printed.text() };
  if (word === 'absent') return { kind: 'absent' };
  // An observer was first: the job that was to be started never will be.
  if (word === 'exit' && value === 'absent') return { kind: 'refused' };
  if (word === 'lost') return { kind: 'lost', why: value === 'reboot' ? 'reboot' : 'gone' };
  if (ran.exit === EXIT_REFUSED) return { kind: 'refused' };
  if (ran.exit === EXIT_UNUSABLE)
    return {
      kind: 'unusable',
      fault: fault('wrapper-unusable', fence, 'the target cannot keep the job: its home directory cannot be written', {
        remedy: 'Make ~/.upshift writable there, or free some space.',
      }),
    };
  return {
    kind: 'cut',
    fault: fault('wrapper-garbled', fence, 'the target did not say how the job ended', {
      effect: 'operator',
      outcome: 'unknown',
      found: said.slice(0, 200) || `exit code ${ran.exit}`,
    }),
  };
}
