/** The documents of the generic lab, as a user would write them. */
import { join } from 'node:path';

export type LabTarget = { id: string; role: 'controller' | 'engine'; group: string; ssh: number; http: number };

/** Files by name, each a list of documents. */
export function labDocuments(folder: string, targets: readonly LabTarget[]): Record<string, unknown[]> {
  const groups = [...new Set(targets.filter((target) => target.role === 'engine').map((target) => target.group))];
  const controllers = targets.filter((target) => target.role === 'controller').map((target) => target.id);
  const engines = (group: string) => targets.filter((target) => target.group === group).map((target) => target.id);
  const inventory = {
    kind: 'Inventory',
    name: 'the lab',
    defaults: {
      product: 'lab-host',
      version: '1.0.0',
      connect: { ssh: { host: '127.0.0.1', user: 'lab', identity: join(folder, 'id_ed25519'), knownHosts: join(folder, 'known_hosts') } },
    },
    targets: targets.map(({ id, role, group, ssh, http }) => ({
      id,
      labels: { role, group },
      connect: { ssh: { port: ssh }, http: { url: `http://127.0.0.1:${http}` } },
    })),
    services: [
      ...(controllers.length > 0 ? [{ name: 'control-api', title: 'Control API', on: controllers, needs: 1 }] : []),
      ...groups.map((group) => ({
        name: `traffic-${group}`,
        title: `Traffic ${group}`,
        on: engines(group),
        needs: Math.max(1, engines(group).length - 1),
      })),
    ],
  };
  const releases = [
    { kind: 'Release', product: 'lab-host', version: '1.0.0', scheme: 'semver' },
    {
      kind: 'Release',
      product: 'lab-host',
      version: '2.0.0',
      scheme: 'semver',
      artifacts: { package: { name: 'lab-host-2.0.0.pkg' } },
      from: [{ versions: '>=1.0.0 <2.0.0', kind: 'major' }],
    },
  ];
  const procedures = [
    {
      kind: 'Procedure',
      name: 'lab-host',
      title: 'Install, reboot, verify',
      observe: { action: 'http.get', with: { url: '/version' }, timeout: '10s', version: 'result.body.version' },
      rollback: 'lab-host-back',
      start: 'install',
      states: {
        install: {
          title: 'Installing',
          action: 'ssh.run',
          with: { command: `installer install \${to}` },
          timeout: '2m',
          traits: { disruptive: true },
          on: {
            success: 'reboot',
            failure: { to: 'failed', message: 'the installer failed', remedy: 'Look at its output, mend the host, then retry.' },
          },
        },
        reboot: {
          title: 'Rebooting',
          action: 'ssh.reboot',
          with: { command: 'reboot' },
          timeout: '2m',
          on: { success: 'verify', failure: { to: 'failed', message: 'it did not come back', remedy: 'Look at its console.' } },
        },
        verify: {
          title: 'Verifying',
          action: 'http.get',
          with: { url: '/version' },
          timeout: '10s',
          attempts: 5,
          delay: '500ms',
          outcomes: { 'wrong-version': 'result.status == 200 && result.body.version != to' },
          on: {
            success: 'upgraded',
            failure: 'failed',
            'wrong-version': { to: 'failed', message: 'it runs another version than was installed' },
          },
        },
        upgraded: { final: true },
        failed: { final: true, result: 'failed' },
      },
    },
    {
      kind: 'Procedure',
      name: 'lab-host-back',
      title: 'Back to the version before',
      start: 'uninstall',
      states: {
        uninstall: {
          title: 'Uninstalling',
          action: 'ssh.run',
          with: { command: 'installer rollback' },
          timeout: '2m',
          traits: { disruptive: true },
          on: { success: 'reboot', failure: 'failed' },
        },
        reboot: {
          title: 'Rebooting',
          action: 'ssh.reboot',
          with: { command: 'reboot' },
          timeout: '2m',
          on: { success: 'back', failure: 'failed' },
        },
        back: { final: true },
        failed: { final: true, result: 'failed' },
      },
    },
  ];
  const first = controllers[0];
  const upgrade = {
    kind: 'Upgrade',
    name: 'lab-1-to-2',
    title: 'Lab 1.0.0 to 2.0.0',
    product: 'lab-host',
    to: '2.0.0',
    procedure: 'lab-host',
    ...(first === undefined
      ? {}
      : {
          freeze: {
            acquire: {
              name: 'freeze',
              title: 'Make configuration read-only',
              target: first,
              action: 'http.put',
              with: { url: '/freeze' },
              timeout: '20s',
              every: '500ms',
            },
            release: {
              name: 'thaw',
              title: 'Allow configuration changes again',
              target: first,
              action: 'http.delete',
              with: { url: '/freeze' },
              timeout: '60s',
              every: '500ms',
            },
          },
        }),
    stages: [
      ...(first === undefined
        ? []
        : [
            {
              name: 'controllers',
              select: 'target.labels.role == "controller"',
              strategy: { parallel: 'all' },
              barrier: {
                name: 'controllers-answer',
                title: 'The controllers answer with the new version',
                target: first,
                action: 'http.get',
                with: { url: '/version' },
                passes: 'result.body.version == to',
                timeout: '60s',
                every: '500ms',
              },
              onFailure: 'rollback',
            },
            { commit: 'controllers' },
          ]),
      {
        name: 'service engines',
        select: 'target.labels.role == "engine"',
        groupBy: 'target.labels.group',
        strategy: { groups: 'all', within: 1 },
        budget: { failures: 0 },
        onFailure: 'suspend',
      },
    ],
  };
  return { 'inventory.yaml': [inventory], 'release.yaml': releases, 'procedure.yaml': procedures, 'upgrade.yaml': [upgrade] };
}
