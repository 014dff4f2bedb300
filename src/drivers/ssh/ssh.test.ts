import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import type { ServerChannel } from 'ssh2';
import { renderValues } from '../../model/expression.ts';
import { actionOf, asFailure, asSuccess, asUnknown, callOf, observationOf, temporaryFolder, until, within } from '../call.fixture.ts';
import { conforms } from '../conformance.fixture.ts';
import type { Driver } from '../contract.ts';
import { sshDriver } from './index.ts';
import type { SshTimes } from './pool.ts';
import { newKey, TestHost, type TestHostOptions } from './server.fixture.ts';

// Whatever the account that runs the tests has configured.
process.env['SSH_AUTH_SOCK'] = '';

const shared: TestHost = new TestHost({ folder: temporaryFolder({ after }, () => shared.close()), maxSessions: 200 });
let deadPort = 0;
before(async () => {
  await shared.start();
  const dead = createServer();
  await new Promise<void>((done) => dead.listen(0, '127.0.0.1', done));
  deadPort = (dead.address() as AddressInfo).port;
  await new Promise((done) => dead.close(done));
});

const nowhere = () => ({ connect: shared.connect({ port: deadPort }) });
type Set = { host: TestHost; driver: Driver; folder: string };

/** A host and a driver of their own. */
async function newSet(t: TestContext, options: Partial<TestHostOptions> = {}, times: Partial<SshTimes> = {}): Promise<Set> {
  const driver = sshDriver(times);
  const folder = temporaryFolder(t, async () => {
    await driver.close();
    await host.close();
  });
  const host: TestHost = new TestHost({ folder, ...options });
  await host.start();
  return { host, driver, folder };
}

function run({ host, driver }: Set, command: string, more: Parameters<typeof callOf>[1] = {}) {
  return actionOf(driver, 'ssh.run').run(callOf({ command }, { connect: host.connect(), ...more }));
}

describe('ssh', { concurrency: 3 }, () => {
  conforms(sshDriver(), {
    'ssh.run': {
      success: () => ({ input: { command: 'echo hello' }, connect: shared.connect() }),
      prints: 'hello\n',
      failure: () => ({ input: { command: 'echo no >&2; exit 3' }, connect: shared.connect() }),
      endless: () => ({ input: { command: 'sleep 300' }, connect: shared.connect() }),
      unreachable: () => ({ input: { command: 'true' }, ...nowhere() }),
      refused: [{}, { command: '' }, { command: 'true', env: { A: 1 } }, { command: 'true', detached: 'yes' }],
    },
    'ssh.reboot': {
      success: () => ({ input: { command: `echo "boot-$$" > "$UPSHIFT_BOOT_ID"` }, connect: shared.connect() }),
      failure: () => ({ input: { command: 'echo no >&2; exit 3' }, connect: shared.connect() }),
      endless: () => ({ input: { command: 'true' }, connect: shared.connect() }),
      unreachable: () => ({ input: {}, ...nowhere() }),
      refused: [{ command: '' }, { env: { A: 1 } }],
    },
  });

  describe('ssh.run', { concurrency: 8 }, () => {
    test('a value put into a command arrives literally, whatever it is', async (t) => {
      const set = await newSet(t);
      const values = [`$(touch x); 'a' "b"`, '`touch x`', '', ' ', '-n', 'ü💥', 'a\nb', '\\', "''", '!', '*', '~', '\\n', '%s', '&', '#'];
      const places = values.map((_, index) => `\${params.v${index}}`).join(' ');
      const rendered = renderValues(
        { name: 'with' },
        { command: `printf '<%s>' ${places} "$VALUE"` },
        { params: Object.fromEntries(values.map((value, index) => [`v${index}`, value])) },
        ['command'],
      );
      assert(rendered.ok);
      const env = { VALUE: values.join('') };
      for (const detached of [false, true]) {
        const call = callOf({ ...rendered.value, detached, env }, { connect: set.host.connect() });
        const { result } = asSuccess(await actionOf(set.driver, 'ssh.run').run(call));
        assert.equal(result['stdout'], [...values, env.VALUE].map((value) => `<${value}>`).join(''));
      }
      assert(!existsSync(join(set.folder, 'home/x')));
    });

    test('output and errors are kept apart, and the exit code is the one of the command', async (t) => {
      const set = await newSet(t);
      assert.deepEqual(asFailure(await run(set, 'echo out; echo err >&2; exit 42')).result, { exit: 42, stdout: 'out\n', stderr: 'err\n' });
      assert.equal(asFailure(await run(set, 'kill -KILL $$')).result['exit'], 137);
      assert.equal(asFailure(await run(set, 'kill -SEGV $$')).result['exit'], 139);
    });

    test('much output arrives to its end', async (t) => {
      const set = await newSet(t);
      const end = asSuccess(await within(20_000, run(set, "head -c 5000000 /dev/zero | tr '\\0' x; echo; echo the end")));
      assert((end.result['stdout'] as string).endsWith('the end\n'));
    });

    test('many commands go over one connection, eight at once', async (t) => {
      const set = await newSet(t);
      const ends = await Promise.all(Array.from({ length: 40 }, (_, index) => run(set, `sleep 0.05; echo ${index}`)));
      assert.deepEqual(
        ends.map((end) => asSuccess(end).result['stdout']),
        ends.map((_, index) => `${index}\n`),
      );
      asSuccess(await run(set, 'true'));
      assert.equal(set.host.seen.connections, 1);
      assert.equal(set.host.seen.most, 8);
    });

    test('a command on an open connection does not wait for packets to be filled', async (t) => {
      const set = await newSet(t);
      let fastest = Number.POSITIVE_INFINITY;
      for (let round = 0; round < 10; round++) {
        const started = performance.now();
        asSuccess(await run(set, 'true'));
        fastest = Math.min(fastest, performance.now() - started);
      }
      // Four round trips of delayed acknowledgements are 160 ms and more.
      assert(fastest < 150, `${fastest} ms`);
    });

    test('a command that waits for its turn ends soon when it is aborted, and at its deadline, and was never run', async (t) => {
      const set = await newSet(t);
      const blockers = Array.from({ length: 8 }, () => callOf({ command: 'sleep 300' }, { connect: set.host.connect() }));
      const blocked = blockers.map((call) => actionOf(set.driver, 'ssh.run').run(call));
      await until('eight are busy', () => set.host.seen.sessions === 8);
      const call = callOf({ command: 'touch ran' }, { connect: set.host.connect() });
      const waiting = actionOf(set.driver, 'ssh.run').run(call);
      const late = asFailure(await within(5_000, run(set, 'touch ran', { timeoutMs: 300 })));
      assert.equal(late.fault.outcome, 'none');
      call.abort();
      await within(3_000, waiting);
      for (const one of blockers) one.abort();
      await Promise.all(blocked);
      asSuccess(await run(set, 'test ! -e ran'));
    });

    test('hosts that allow fewer sessions at once still run everything', async (t) => {
      const set = await newSet(t, { maxSessions: 3 });
      const ends = await Promise.all(Array.from({ length: 8 }, () => run(set, 'sleep 0.1')));
      for (const end of ends) asSuccess(end);
      await until('no connection is left over but the last', () => set.host.open <= 1);
    });

    test('a connection that drops while a command runs is unknown, and nothing is sent again', async (t) => {
      const set = await newSet(t);
      const ending = run(set, 'echo x >> times; sleep 300');
      await until('it runs', () => existsSync(join(set.folder, 'home/times')));
      set.host.cut();
      const fault = asUnknown(await ending);
      assert.deepEqual([fault.kind, fault.outcome], ['connection-cut', 'unknown']);
      asSuccess(await run(set, 'true'));
      assert.equal(readFileSync(join(set.folder, 'home/times'), 'utf8'), 'x\n');
      assert.equal(set.host.seen.connections, 2);
    });

    test('a detached command goes on when the connection drops, and its observation tells how it ended', async (t) => {
      const set = await newSet(t);
      const command = 'echo x >> times; while [ ! -f go-on ]; do sleep 0.05; done; echo done; exit 6';
      const call = callOf({ command }, { connect: set.host.connect(), disruptive: true });
      const ending = actionOf(set.driver, 'ssh.run').run(call);
      await until('it runs', () => existsSync(join(set.folder, 'home/times')));
      set.host.cut();
      asUnknown(await ending);
      const observed = actionOf(set.driver, 'ssh.run').observe?.(observationOf(call));
      writeFileSync(join(set.folder, 'home/go-on'), '');
      const end = asFailure((await observed) as never);
      assert.deepEqual([end.result['exit'], end.result['stdout']], [6, 'done\n']);
      assert.equal(readFileSync(join(set.folder, 'home/times'), 'utf8'), 'x\n');
    });

    test('a connection that the host closed while it was idle is made anew for the next command', async (t) => {
      const set = await newSet(t);
      asSuccess(await run(set, 'true'));
      set.host.cut();
      await until('it is closed', () => set.host.open === 0);
      asSuccess(await run(set, 'true'));
      assert.equal(set.host.seen.connections, 2);
    });

    test('a connection without use is closed after a while, and the next command makes another', async (t) => {
      const set = await newSet(t, {}, { idleMs: 50 });
      asSuccess(await run(set, 'true'));
      await until('it is closed', () => set.host.open === 0);
      asSuccess(await run(set, 'sleep 0.3; echo still here'));
      assert.equal(set.host.seen.connections, 2);
    });

    test('a host that falls silent is found out, and the outcome is unknown', async (t) => {
      const set = await newSet(t, {}, { keepaliveMs: 60 });
      const ending = run(set, 'touch begun; sleep 300');
      await until('it runs', () => existsSync(join(set.folder, 'home/begun')));
      set.host.freeze();
      assert.equal(asUnknown(await within(5_000, ending)).outcome, 'unknown');
    });

    test('a silent but living command is not taken for a silent host', async (t) => {
      const set = await newSet(t, {}, { keepaliveMs: 40 });
      asSuccess(await run(set, 'sleep 0.6'));
      assert.equal(set.host.seen.connections, 1);
    });

    test('a host that takes the connection and says nothing is a failure at the deadline, and nothing was sent', async (t) => {
      const set = await newSet(t);
      const { server, port } = await silentServer(t);
      const end = asFailure(await within(4_000, run(set, 'true', { connect: set.host.connect({ port }), timeoutMs: 500 })));
      assert.equal(end.fault.outcome, 'none');
      const call = callOf({ command: 'true' }, { connect: set.host.connect({ port }) });
      const aborted = actionOf(set.driver, 'ssh.run').run(call);
      call.abort();
      await within(3_000, aborted);
      await within(3_000, set.driver.close());
      server.close();
    });

    test('a host that is away and comes back is waited for', async (t) => {
      const set = await newSet(t);
      const { port } = set.host;
      asSuccess(await run(set, 'true'));
      await set.host.away();
      const ending = run(set, 'echo back', { connect: set.host.connect({ port }) });
      await new Promise((next) => setImmediate(next));
      await set.host.start(port);
      assert.equal(asSuccess(await ending).result['stdout'], 'back\n');
    });

    test('a host that answers something else than SSH is a failure once patience is over', async (t) => {
      const set = await newSet(t);
      const odd = createServer((socket) => void socket.on('error', () => {}).end('HTTP/1.1 400 Bad Request\r\n\r\n'));
      await new Promise<void>((done) => odd.listen(0, '127.0.0.1', done));
      t.after(() => void odd.close());
      const { port } = odd.address() as AddressInfo;
      const end = asFailure(await run(set, 'true', { connect: set.host.connect({ port }), timeoutMs: 600 }));
      assert.deepEqual([end.fault.kind, end.fault.outcome], ['ssh-unreachable', 'none']);
    });

    test('what a person must mend is not tried again: a key that has changed, a login that is refused', async (t) => {
      const set = await newSet(t);
      writeFileSync(set.host.knownHostsFile, set.host.knownHost(newKey()));
      assert.equal(asFailure(await run(set, 'true')).fault.kind, 'host-key-changed');
      writeFileSync(set.host.knownHostsFile, set.host.knownHost(set.host.hostKeys[0] as never));
      writeFileSync(set.host.identityFile, newKey().private);
      assert.equal(asFailure(await run(set, 'true')).fault.kind, 'ssh-auth');
      assert.equal(set.host.seen.connections, 2);
    });

    test('two targets on one host that check its key differently share no connection', async (t) => {
      const set = await newSet(t);
      asSuccess(await run(set, 'true'));
      writeFileSync(join(set.folder, 'empty'), '');
      const strict = await run(set, 'true', { connect: set.host.connect({ knownHosts: join(set.folder, 'empty') }) });
      assert.equal(asFailure(strict).fault.kind, 'host-key-unknown');
    });

    test('a session that ends without a word of how is unknown', async (t) => {
      const set = await newSet(t, { exec: (channel) => void channel.end('half') });
      assert.equal(asUnknown(await run(set, 'true')).kind, 'connection-cut');
    });

    test('a target that cannot run the wrapper is unknown, with what it said', async (t) => {
      const exec = (channel: ServerChannel) => {
        channel.stderr.write('% Unknown command: sh\n');
        channel.exit(0);
        channel.end();
      };
      const set = await newSet(t, { exec });
      const fault = asUnknown(await run(set, 'true', { disruptive: true }));
      assert.match(fault.found ?? '', /Unknown command/);
    });

    test('at the deadline the command is ended on the host', async (t) => {
      const set = await newSet(t);
      const end = asFailure(await within(15_000, run(set, 'echo said; echo $$ > pid; sleep 300 & wait', { timeoutMs: 2_500 })));
      assert.equal(end.fault.kind, 'timeout');
      assert.equal(end.result['stdout'], 'said\n');
      const pid = Number(readFileSync(join(set.folder, 'home/pid'), 'utf8'));
      await until('it is gone', () => !existsSync(`/proc/${pid}`));
    });

    test('a detached command that cannot be ended at its deadline is unknown: it may still run', async (t) => {
      const set = await newSet(t);
      const call = callOf({ command: 'touch begun; sleep 300' }, { connect: set.host.connect(), disruptive: true, timeoutMs: 4_000 });
      const ending = actionOf(set.driver, 'ssh.run').run(call);
      await until('it runs', () => existsSync(join(set.folder, 'home/begun')));
      set.host.freeze();
      const fault = asUnknown(await within(25_000, ending));
      assert.deepEqual([fault.kind, fault.effect], ['not-ended', 'operator']);
    });

    test('an observation of a host that is away is unknown, never absent', async (t) => {
      const set = await newSet(t);
      await set.host.away();
      const call = callOf({ command: 'true' }, { connect: set.host.connect(), disruptive: true });
      const ending = actionOf(set.driver, 'ssh.run').observe?.(observationOf(call, 500));
      assert.equal(asUnknown((await within(14_000, ending as Promise<never>)) as never).outcome, 'unknown');
    });
  });

  describe('jump hosts', { concurrency: 4 }, () => {
    /** A bastion and a host behind it, as ~/.ssh/config knows them. */
    async function behind(t: TestContext, more = '', times: Partial<SshTimes> = {}) {
      const far = await newSet(t, {}, times);
      const bastion: TestHost = new TestHost({ folder: temporaryFolder(t, () => bastion.close()) });
      await bastion.start();
      const config = join(far.folder, 'config');
      writeFileSync(
        config,
        `Host bastion
  HostName 127.0.0.1
  Port ${bastion.port}
  User jumper
  IdentityFile ${bastion.identityFile}
  IdentitiesOnly yes
  UserKnownHostsFile ${bastion.knownHostsFile}
Host far
  HostName 127.0.0.1
  Port ${far.host.port}
  User tester
  IdentityFile ${far.host.identityFile}
  IdentitiesOnly yes
  UserKnownHostsFile ${far.host.knownHostsFile}
${more}`,
      );
      const go = (ssh: Record<string, unknown>, command = 'echo there', timeoutMs = 20_000) =>
        run(far, command, { connect: { ssh: { config, ...ssh } as never }, timeoutMs });
      return { far, bastion, config, go };
    }

    test('a host is reached through another, with the settings of each', async (t) => {
      const { far, bastion, go } = await behind(t);
      for (let round = 0; round < 3; round++)
        assert.equal(asSuccess(await go({ host: 'far', jump: 'bastion' })).result['stdout'], 'there\n');
      assert.deepEqual(bastion.seen.forwards, [`127.0.0.1:${far.host.port}`]);
      assert.deepEqual([...new Set([...bastion.seen.users, ...far.host.seen.users])], ['jumper', 'tester']);
      assert.deepEqual([bastion.seen.connections, far.host.seen.connections], [1, 1]);
    });

    test('ProxyJump of the configuration is honoured', async (t) => {
      const { bastion, go } = await behind(t, 'Host f* !bastion\n  ProxyJump bastion\n');
      asSuccess(await go({ host: 'far' }));
      assert.equal(bastion.seen.forwards.length, 1);
    });

    test('several jumps are gone through in their order', async (t) => {
      const { bastion, go } = await behind(t);
      const second: TestHost = new TestHost({ folder: temporaryFolder(t, () => second.close()) });
      await second.start();
      writeFileSync(second.identityFile, readFileSync(second.identityFile));
      const { config, far } = await behind(
        t,
        `Host first
  HostName 127.0.0.1
  Port ${bastion.port}
  User jumper
  IdentityFile ${bastion.identityFile}
  UserKnownHostsFile ${bastion.knownHostsFile}
Host second
  HostName 127.0.0.1
  Port ${second.port}
  User jumper
  IdentityFile ${second.identityFile}
  UserKnownHostsFile ${second.knownHostsFile}
`,
      );
      asSuccess(await run(far, 'true', { connect: { ssh: { config, host: 'far', jump: 'first,second' } } }));
      assert.deepEqual(bastion.seen.forwards, [`127.0.0.1:${second.port}`]);
      assert.deepEqual(second.seen.forwards, [`127.0.0.1:${far.host.port}`]);
      asSuccess(await go({ host: 'far' }));
    });

    test('a jump host whose key is not known is refused, and the fault says which host it is about', async (t) => {
      const { far, bastion, go } = await behind(t);
      writeFileSync(bastion.knownHostsFile, '');
      const end = asFailure(await go({ host: 'far', jump: 'bastion' }));
      assert.deepEqual([end.fault.kind, end.fault.cause?.kind, end.fault.outcome], ['ssh-jump', 'host-key-unknown', 'none']);
      assert.match(end.fault.message, /bastion/);
      assert.equal(far.host.seen.connections, 0);
    });

    test('the key of the host behind is checked too', async (t) => {
      const { far, go } = await behind(t);
      writeFileSync(far.host.knownHostsFile, far.host.knownHost(newKey()));
      assert.equal(asFailure(await go({ host: 'far', jump: 'bastion' })).fault.kind, 'host-key-changed');
    });

    test('a host that the jump host cannot reach is a failure that says so', async (t) => {
      const { go } = await behind(t);
      const end = asFailure(await go({ host: 'far', jump: 'bastion', port: deadPort }, 'true', 3_000));
      assert.equal(end.fault.kind, 'ssh-unreachable');
      assert.match(end.fault.message, /from bastion/);
    });

    test('a bastion that is reached through itself is a fault, at once', async (t) => {
      const { go } = await behind(t, 'Host *\n  ProxyJump bastion\n');
      const end = asFailure(await within(3_000, go({ host: 'far' })));
      assert.equal(end.fault.kind, 'ssh-jump');
    });

    test('two hosts that are reached through each other are a fault, both at once', async (t) => {
      const { go } = await behind(t, 'Host far\n  ProxyJump bastion\nHost bastion\n  ProxyJump far\n');
      for (const end of await within(3_000, Promise.all([go({ host: 'far' }), go({ host: 'bastion' })])))
        assert.equal(asFailure(end).fault.kind, 'ssh-jump');
    });

    test('a bastion is not closed as idle while something goes through it, and is afterwards', async (t) => {
      const { far, bastion, go } = await behind(t, '', { idleMs: 60 });
      const through = go({ host: 'far', jump: 'bastion' }, 'while [ ! -f go-on ]; do sleep 0.02; done');
      await until('it goes through', () => far.host.seen.sessions === 1);
      asSuccess(await go({ host: 'bastion' }, 'true'));
      await until('the command on the bastion is over', () => bastion.seen.sessions === 0);
      asSuccess(await go({ host: 'bastion' }, 'sleep 0.2'));
      writeFileSync(join(far.folder, 'home/go-on'), '');
      asSuccess(await through);
      await until('both are closed', () => far.host.open === 0 && bastion.open === 0);
    });
  });
});

/** A server that takes connections and says nothing. */
async function silentServer(t: TestContext): Promise<{ server: Server; port: number }> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    socket.on('error', () => {});
    sockets.push(socket);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { server, port: (server.address() as AddressInfo).port };
}
