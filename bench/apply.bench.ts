/** `upshift apply` of one target whose action is `true`: the whole process. The rivals run the same command: a shell, and a bare Node.js. */
import { join } from 'node:path';
import { writeDocuments } from './documents.ts';
import { type Figure, median } from './figure.ts';
import { benchFolder } from './fleet.ts';
import { complete, ROOT } from './process.ts';

const ROUNDS = 9;
const NODE = "require('node:child_process').spawnSync('sh', ['-c', 'true'])";

export async function run(report: (figure: Figure) => void): Promise<void> {
  const own: number[] = [];
  const shell: number[] = [];
  const node: number[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    const folder = benchFolder();
    writeDocuments(folder.path);
    const applied = await complete(join(ROOT, 'bin/upshift'), ['apply', '--yes', folder.path, '--data', join(folder.path, 'data')]);
    folder.remove();
    const shelled = await complete('sh', ['-c', 'true']);
    const bare = await complete(process.execPath, ['-e', NODE]);
    // The first fills the caches of all three.
    if (round === 0) continue;
    own.push(applied.tookMs);
    shell.push(shelled.tookMs);
    node.push(bare.tookMs);
  }
  const value = median(own);
  const action = median(shell);
  report({
    name: 'apply of one target, whole process',
    value,
    unit: 'ms',
    rival: 'bare Node.js running the command',
    rivalValue: median(node),
    ratio: value / median(node),
  });
  report({
    name: 'the same over the action itself',
    value: value - action,
    unit: 'ms',
    rival: 'sh -c true',
    rivalValue: action,
    ratio: (value - action) / action,
    goal: '< 400 ms',
    met: value - action < 400,
  });
}
