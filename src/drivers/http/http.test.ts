import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Socket, type Server as TcpServer } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { actionOf, asFailure, asSuccess, asUnknown, callOf, within } from '../call.fixture.ts';
import { type ActionCases, conforms } from '../conformance.fixture.ts';
import { httpDriver } from './index.ts';

type Seen = { method: string; url: string; headers: IncomingMessage['headers']; body: string };

/** Answers what its path says. */
function startServer(seen: Seen[]): Promise<Server> {
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    seen.push({ method: request.method ?? '', url: request.url ?? '', headers: request.headers, body });
    answer(request, response, body);
  });
  return new Promise((done) => server.listen(0, '127.0.0.1', () => done(server)));
}

function answer(request: IncomingMessage, response: ServerResponse, body: string): void {
  const [, route = '', word = ''] = (request.url ?? '').split('/');
  switch (route) {
    case 'status':
      response.writeHead(Number(word)).end(Number(word) === 204 ? undefined : `this is ${word}`);
      break;
    case 'json':
      response.setHeader('content-type', 'application/json').end(JSON.stringify({ version: '2.0', nested: { ü: [1, null] } }));
      break;
    case 'echo':
      response.end(body);
      break;
    case 'text':
      response.end('{"half": ');
      break;
    case 'hang':
      break;
    case 'hang-body':
      response.write('a part');
      break;
    case 'cut-head':
      request.socket.destroy();
      break;
    case 'cut-body':
      response.writeHead(200, { 'content-length': '1000' });
      response.write('a part', () => request.socket.destroy());
      break;
    case 'endless': {
      const block = Buffer.alloc(64 * 1024, 'x');
      const more = () => {
        while (!response.destroyed && response.write(block));
      };
      response.on('drain', more);
      more();
      break;
    }
    case 'redirect':
      response.writeHead(Number(word), { location: '/json' }).end();
      break;
    case 'loop':
      response.writeHead(302, { location: '/loop' }).end();
      break;
    default:
      response.writeHead(404).end('nothing here');
  }
}

/** A server that speaks something else. */
function startTcp(serve: (socket: Socket) => void): Promise<TcpServer> {
  const server = createTcpServer((socket) => {
    socket.on('error', () => {});
    serve(socket);
  });
  return new Promise((done) => server.listen(0, '127.0.0.1', () => done(server)));
}

const portOf = (server: Server | TcpServer) => (server.address() as AddressInfo).port;

const seen: Seen[] = [];
let server: Server;
let deadPort = 0;
before(async () => {
  server = await startServer(seen);
  const dead = await startTcp(() => {});
  deadPort = portOf(dead);
  await new Promise((done) => dead.close(done));
});
after(() => {
  server.closeAllConnections();
  server.close();
});

const base = () => `http://127.0.0.1:${portOf(server)}`;
const connect = () => ({ http: { url: base() } });
const VERBS = ['get', 'put', 'delete', 'post', 'patch'] as const;

const cases: ActionCases = {
  success: () => ({ input: { url: '/json' }, connect: connect() }),
  failure: () => ({ input: { url: '/status/503' }, connect: connect() }),
  endless: () => ({ input: { url: '/hang' }, connect: connect() }),
  unreachable: () => ({ input: { url: `http://127.0.0.1:${deadPort}/` } }),
  refused: [{}, { url: '' }, { url: '/', ok: [99] }, { url: '/', headers: { a: 1 } }],
};
conforms(httpDriver(), Object.fromEntries(VERBS.map((verb) => [`http.${verb}`, cases])), 8);

describe('http', () => {
  const driver = httpDriver();
  const run = (verb: (typeof VERBS)[number], input: Record<string, unknown>, more: Parameters<typeof callOf>[1] = {}) =>
    actionOf(driver, `http.${verb}`).run(callOf(input, { connect: connect(), ...more }));

  test('parses a JSON body, keeps the text, and names headers in lower case', async () => {
    const { result } = asSuccess(await run('get', { url: '/json' }));
    assert.deepEqual(result['body'], { version: '2.0', nested: { ü: [1, null] } });
    assert.equal(result['text'], JSON.stringify(result['body']));
    assert.equal((result['headers'] as Record<string, string>)['content-type'], 'application/json');
  });

  test('a body that is not JSON is a text, and its body is null', async () => {
    const { result } = asSuccess(await run('get', { url: '/text' }));
    assert.deepEqual([result['body'], result['text']], [null, '{"half": ']);
  });

  for (const [status, success] of [
    [200, true],
    [201, true],
    [204, true],
    [299, true],
    [304, false],
    [400, false],
    [404, false],
    [500, false],
  ] as const)
    test(`the status ${status} is a ${success ? 'success' : 'failure'}`, async () => {
      const end = await run('get', { url: `/status/${status}` });
      assert('outcome' in end);
      assert.equal(end.outcome, success ? 'success' : 'failure');
      assert.equal(end.result['status'], status);
    });

  test('`ok` says which statuses are a success, and no others are', async () => {
    asSuccess(await run('get', { url: '/status/404', ok: [404, 410] }));
    const end = asFailure(await run('get', { url: '/status/200', ok: [404, 410] }));
    assert.equal(end.fault.expected, '404, 410');
    assert.match(end.fault.found ?? '', /^200/);
  });

  test('sends a text as it is and everything else as JSON, with its fence', async () => {
    const text = callOf({ url: '/echo/text', body: 'plain' }, { connect: connect() });
    assert.equal(asSuccess(await actionOf(driver, 'http.post').run(text)).result['text'], 'plain');
    const json = await run('put', { url: '/echo/json', body: { a: [1] } });
    assert.deepEqual(asSuccess(json).result['body'], { a: [1] });
    const [one, two] = [seen.find((request) => request.url === '/echo/text'), seen.find((request) => request.url === '/echo/json')];
    assert.equal(one?.headers['upshift-fence'], text.fence);
    assert.equal(two?.headers['content-type'], 'application/json');
    assert.equal(two?.method, 'PUT');
  });

  test("the action's headers count more than the target's, whatever their case", async () => {
    const target = { http: { url: base(), headers: { Authorization: 'target', 'X-One': '1' } } };
    const headers = { authorization: 'action', 'Content-Type': 'application/merge-patch+json' };
    asSuccess(await run('patch', { url: '/echo/headers', body: {}, headers }, { connect: target }));
    const got = seen.find((request) => request.url === '/echo/headers')?.headers;
    assert.deepEqual([got?.authorization, got?.['x-one'], got?.['content-type']], ['action', '1', 'application/merge-patch+json']);
  });

  test("a path is put after the target's URL, whole as that is", async () => {
    for (const [url, path] of [
      [base(), '/echo/a'],
      [`${base()}/`, 'echo/b?x=1'],
      [`${base()}/echo`, '/c'],
      [`${base()}/echo/`, 'd'],
    ] as const)
      asSuccess(await run('get', { url: path }, { connect: { http: { url } } }));
    const paths = seen.map((request) => request.url).filter((url) => /^\/echo\/[a-d](\?|$)/.test(url));
    assert.deepEqual(paths, ['/echo/a', '/echo/b?x=1', '/echo/c', '/echo/d']);
  });

  test('a path never leads to another host', async () => {
    const end = await run('get', { url: `//localhost:${deadPort}/steal` });
    assert.equal(asFailure(end).result['status'], 404);
  });

  test('a path without a target is a failure that says so', async () => {
    assert.equal(asFailure(await run('get', { url: '/x' }, { connect: {} })).fault.kind, 'no-url');
  });

  for (const [what, input] of [
    ['a URL that is none', { url: 'http://[nonsense' }],
    ['a URL with a password in it', { url: 'http://a:b@127.0.0.1/' }],
    ['a header that is none', { url: '/json', headers: { 'a b': 'c' } }],
    ['a header value of two lines', { url: '/json', headers: { a: 'b\nc' } }],
  ] as const)
    for (const verb of ['get', 'post'] as const)
      test(`${what} is a failure of ${verb}, and nothing was sent`, async () => {
        const end = asFailure(await run(verb, input));
        assert.deepEqual([end.fault.kind, end.fault.outcome], ['http-request', 'none']);
      });

  test('GET with a body is a failure that says so', async () => {
    assert.equal(asFailure(await run('get', { url: '/json', body: 'x' })).fault.outcome, 'none');
  });

  test('a refused connection is a failure, and nothing was done', async () => {
    for (const verb of VERBS) {
      const end = asFailure(await run(verb, { url: `http://127.0.0.1:${deadPort}/` }));
      assert.deepEqual([end.fault.outcome, end.fault.effect], ['none', 'retry']);
      assert.match(end.fault.message, /ECONNREFUSED/);
    }
  });

  test('a name that does not exist is a failure, and nothing was done', async () => {
    assert.equal(asFailure(await run('post', { url: 'http://no-such-host.invalid/' })).fault.outcome, 'none');
  });

  for (const route of ['/cut-head', '/cut-body'])
    test(`an answer that is cut (${route}) is a failure of GET, and unknown for what changes things`, async () => {
      asFailure(await run('get', { url: route }));
      for (const verb of ['post', 'put', 'patch', 'delete'] as const)
        assert.equal(asUnknown(await run(verb, { url: route })).outcome, 'unknown');
    });

  for (const route of ['/hang', '/hang-body'])
    test(`an answer that never ends (${route}) is over at the deadline`, async () => {
      const end = asFailure(await within(3_000, run('get', { url: route }, { timeoutMs: 300 })));
      assert.equal(end.fault.kind, 'timeout');
      assert.equal(asUnknown(await within(3_000, run('post', { url: route }, { timeoutMs: 300 }))).kind, 'timeout');
    });

  test('an endless body is read to a megabyte, and then it is enough', async () => {
    const { result } = asSuccess(await within(5_000, run('get', { url: '/endless' })));
    assert.equal((result['text'] as string).length, 1024 * 1024);
    assert.equal(result['body'], null);
  });

  test('GET follows redirects, and not for ever', async () => {
    assert.deepEqual(asSuccess(await run('get', { url: '/redirect/302' })).result['status'], 200);
    asFailure(await within(5_000, run('get', { url: '/loop' })));
  });

  test('what changes things is not sent elsewhere by a redirect', async () => {
    const before = seen.length;
    for (const verb of ['post', 'put', 'patch', 'delete'] as const)
      assert.equal(asFailure(await run(verb, { url: '/redirect/307' })).result['status'], 307);
    assert.equal(seen.length, before + 4);
  });

  for (const [what, bytes] of [
    ['an SSH banner', 'SSH-2.0-OpenSSH_9.9\r\n'],
    ['noise', '\0\x01\x02garbage\r\n\r\n'],
    ['half a header', 'HTTP/1.1 200 OK\r\nconte'],
    ['a header that never ends', `HTTP/1.1 200 OK\r\nx: ${'y'.repeat(100_000)}`],
    ['nothing', ''],
  ] as const)
    test(`a server that answers ${what} is a failure, not a crash`, async (t) => {
      const odd = await startTcp((socket) => {
        socket.once('data', () => socket.end(bytes));
      });
      t.after(() => void odd.close());
      const url = `http://127.0.0.1:${portOf(odd)}/`;
      asFailure(await within(5_000, run('get', { url })));
      asUnknown(await within(5_000, run('post', { url, body: 'x' })));
    });

  test('a URL is shown as it was written, so that a secret in it can be found', async () => {
    const url = `http://127.0.0.1:${deadPort}/?token=p'%s w<ü`;
    assert(asFailure(await run('get', { url })).fault.message.includes(url));
  });
});
