/** The documents of a small upgrade of one target, for benchmarks of the whole program. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Writes them into a folder. The target is upgraded by the command `true` on this machine. */
export function writeDocuments(folder: string, options: { approval?: string } = {}): void {
  writeFileSync(
    join(folder, 'upgrade.yaml'),
    `kind: Inventory
targets:
  - {id: node-1, product: p, version: "1.0.0"}
---
kind: Release
product: p
version: "1.0.0"
scheme: semver
---
kind: Release
product: p
version: "1.1.0"
scheme: semver
from:
  - {versions: "1.0.0"}
---
kind: Procedure
name: work
start: act
states:
  act:
    action: command.run
    with: {command: "true"}
    traits: {idempotent: true}
    on: {success: good, failure: bad}
  good: {final: true}
  bad: {final: true, result: failed}
---
kind: Upgrade
name: u
product: p
to: "1.1.0"
procedure: work
${options.approval === undefined ? '' : `approval: "${options.approval}"\n`}stages:
  - name: nodes
    strategy: {parallel: 1}
`,
  );
}
