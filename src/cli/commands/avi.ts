/** `avi upgrade` and `avi status`: the product's own way of asking, over the same runs. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { Option } from 'commander';
import { parse, stringify } from 'yaml';
import { findPath, releaseGraph } from '../../catalog/graph.ts';
import { catalogOf } from '../../drivers/contract.ts';
import { openDrivers } from '../../drivers/registry.ts';
import type { Release, Stage, Upgrade } from '../../model/documents/index.ts';
import { FaultError, fault } from '../../model/fault.ts';
import { PACKS } from '../../packs/registry.ts';
import { loadChecked } from '../documents.ts';
import { EXIT } from '../exit-codes.ts';
import { dataOption, jsonOption, print } from '../options.ts';
import { styleFor } from '../style.ts';
import { apply, type DriveFlags } from './apply.ts';

const PRODUCT = 'avi-vantage';
const IMAGES = 'controller://upgrade_pkgs/';

type UpgradeOptions = DriveFlags & {
  image: string;
  documents: string;
  to?: string;
  force?: boolean;
  disruptive?: boolean;
  onError: 'suspend' | 'continue' | 'rollback';
};

export function addAviCommand(program: Command, end: (code: number) => void): void {
  const avi = program
    .command('avi')
    .summary('upgrade an Avi Vantage system')
    .description('The system upgrade: controllers in parallel, the commit point, then the service engines.');
  avi
    .command('upgrade')
    .summary('upgrade controllers and service engines')
    .option('--image <path>', 'the controller image', `${IMAGES}controller.pkg`)
    .option('--to <version>', 'the version of the image (default: the newest release that is known)')
    .option('--force', 'upgrade although the running version is older than the image allows; makes it disruptive')
    .option('--disruptive', 'all engines at once, instead of rolling')
    .addOption(
      new Option('--on-error <what>', 'what the failure of an engine does').choices(['suspend', 'continue', 'rollback']).default('suspend'),
    )
    .option('--documents <dir>', 'the folder with the inventory and the releases', '.')
    .option('--yes', 'do not ask')
    .option('--wait', 'where a person must decide, go on waiting')
    .option('--no-wait', 'where a person must decide, end with exit code 4')
    .addOption(dataOption())
    .addOption(jsonOption())
    .action(async (options: UpgradeOptions) => {
      const drivers = openDrivers();
      try {
        const prepared = prepare(options, catalogOf(drivers.actions));
        if (!prepared) return end(EXIT.usage);
        const { paths, extra } = prepared;
        end(await apply(paths, { ...options, upgrade: 'avi-system', extra }, drivers));
      } finally {
        await drivers.close();
      }
    });
}

/** The documents of this upgrade; undefined, with a warning printed, where the running version is too distant. */
function prepare(options: UpgradeOptions, actions: ReturnType<typeof catalogOf>) {
  if (!options.image.startsWith(IMAGES))
    throw new FaultError(
      fault('image-name', options.image, 'the image is named by its place on the controller', {
        expected: `${IMAGES}controller.pkg or ${IMAGES}controller_docker.tgz`,
        found: options.image,
      }),
    );
  const style = styleFor();
  const { folder } = PACKS.find((pack) => pack.name === 'avi') as { folder: string };
  const procedures = join(folder, 'procedures');
  const inventory = join(options.documents, 'inventory.yaml');
  const set = loadChecked({ paths: [inventory, join(options.documents, 'release.yaml'), procedures] }, actions, styleFor(process.stderr));
  const graph = releaseGraph(PRODUCT, set.releases);
  const to = options.to ?? graph.releases.at(-1)?.version;
  const wanted = graph.releases.find((release) => release.version === to);
  if (to === undefined || !wanted)
    throw new FaultError(
      fault('release-unknown', options.to ?? PRODUCT, `no release of ${PRODUCT} is known as ${options.to ?? 'the newest'}`, {
        expected: graph.releases.map((release) => release.version).join(', '),
      }),
    );
  const running = set.targets.find((target) => target.product === 'avi-controller')?.version;
  const from = graph.releases.find((release) => release.components?.['avi-controller'] === running)?.version ?? running ?? '';
  const path = findPath(graph, from, to);
  const forced = !path.ok && options.force === true;
  if (!path.ok && !forced) {
    print(
      `${style.yellow('Warning')} ${path.message}: the running version is too distant from the image${path.expected === undefined ? '' : `, which takes ${path.expected}`}.`,
    );
    print('Nothing was done. --force upgrades all the same, and makes it disruptive.');
    return undefined;
  }
  if (forced) print(`${style.yellow('Warning')} forced from ${from}: this upgrade is disruptive.\n`);
  const release: Release = forced
    ? {
        ...wanted,
        from: [
          {
            versions: from,
            kind: 'major',
            risks: [{ name: 'forced', message: `the image does not allow ${from}; all engines go at once` }],
          },
        ],
      }
    : wanted;
  const pack = parse(readFileSync(join(folder, 'upgrades/avi.yaml'), 'utf8')) as Upgrade;
  const upgrade: Upgrade = {
    ...pack,
    to,
    params: { ...pack.params, image: options.image },
    stages: pack.stages.map((stage) => engineStage(stage, options, forced || options.disruptive === true)),
  };
  const others = set.releases.filter((one) => one.product !== PRODUCT || one.version !== to);
  const extra = [
    { file: 'the releases', text: [...others, release] },
    { file: 'the upgrade', text: [upgrade] },
  ].map(({ file, text }) => ({ file, bytes: Buffer.from(text.map((one) => stringify(one)).join('---\n')) }));
  return { paths: [inventory, procedures], extra };
}

/** Engines roll serially within their groups; a disruptive upgrade takes all of them at once. */
function engineStage(stage: Stage, options: UpgradeOptions, disruptive: boolean): Stage {
  if (stage.name !== 'engines') return stage;
  return { ...stage, onFailure: options.onError, strategy: disruptive ? { groups: 'all', within: 'all' } : (stage.strategy ?? {}) };
}
