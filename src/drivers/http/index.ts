/** HTTP requests, by the platform's own fetch. */
import { type Fault, fault } from '../../model/fault.ts';
import * as s from '../../model/schema.ts';
import type { ActionEnd, Call, Driver } from '../contract.ts';
import { msLeft } from '../deadline.ts';

/** A body beyond this is not read: an action wants an answer, not a download. */
const MAX_BODY = 1024 * 1024;

const requestInputs = s.object({
  url: s.string({ minLength: 1, description: "A whole URL, or a path on the target's connect.http.url." }),
  headers: s.optional(s.record(s.string())),
  body: s.optional(s.anything(), { description: 'A text, or anything else to be sent as JSON.' }),
  ok: s.optional(s.array(s.integer({ minimum: 100, maximum: 599 })), {
    description: 'The status codes that are a success; default 200 to 299.',
  }),
});

const result = { status: 'int', body: 'dyn', text: 'string', headers: 'dyn' } as const;
const outcomes = { success: 'a status that is expected', failure: 'another status, or no answer' };

/** Errors that say the request was never sent: there was no connection, or the certificate was not accepted. */
const NEVER_SENT = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EAI_AGAIN',
  'UND_ERR_CONNECT_TIMEOUT',
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);

type Asked = {
  request: Request;
  /** The method and the URL as they were written: a secret that was encoded could not be found again. */
  what: string;
  ok?: number[];
};

/** The request a call asks for, or why there can be none. */
function requestOf(call: Call, method: string, signal: AbortSignal): Asked | Fault {
  const { url, body, headers, ok } = call.input as { url: string; body?: unknown; headers?: Record<string, string>; ok?: number[] };
  const base = call.connect.http?.url;
  const whole = /^https?:\/\//.test(url);
  if (!whole && base === undefined) return fault('no-url', call.subject, `${url} is a path, and ${call.subject} has no connect.http.url`);
  // Joined as texts: resolving would take `//elsewhere/` for another host, and drop the path of the base.
  const address = whole ? url : `${base?.replace(/\/+$/, '')}/${url.replace(/^\/+/, '')}`;
  const what = `${method} ${address}`;
  const json = body !== undefined && typeof body !== 'string';
  try {
    const all = new Headers(json ? { 'content-type': 'application/json' } : {});
    all.set('upshift-fence', call.fence);
    // Of two headers that differ in case only, the later counts.
    for (const [name, value] of Object.entries({ ...call.connect.http?.headers })) all.set(name, value);
    for (const [name, value] of Object.entries({ ...headers })) all.set(name, value);
    const request = new Request(address, {
      method,
      headers: all,
      ...(body === undefined ? {} : { body: json ? JSON.stringify(body) : (body as string) }),
      redirect: method === 'GET' ? 'follow' : 'manual',
      signal,
    });
    return { request, what, ...(ok === undefined ? {} : { ok }) };
  } catch (error) {
    return fault('http-request', call.subject, `${what} is no request that can be sent: ${(error as Error).message}`);
  }
}

async function request(call: Call, method: string): Promise<ActionEnd> {
  const failed = (why: Fault): ActionEnd => ({ outcome: 'failure', result: { status: 0, body: null, text: '', headers: {} }, fault: why });
  const signal = AbortSignal.any([call.signal, AbortSignal.timeout(msLeft(call.deadline))]);
  const asked = requestOf(call, method, signal);
  if ('kind' in asked) return failed(asked);
  const { ok, what } = asked;
  try {
    const answer = await fetch(asked.request);
    const text = await boundedText(answer);
    const seen = { status: answer.status, body: parsed(text), text, headers: Object.fromEntries(answer.headers) };
    const expected = ok ? ok.includes(answer.status) : answer.ok;
    if (expected) return { outcome: 'success', result: seen };
    const why = fault('http-status', call.subject, `${what} was answered with ${answer.status}`, {
      expected: ok ? ok.join(', ') : '200 to 299',
      found: `${answer.status} ${text.slice(0, 200)}`.trim(),
      outcome: 'applied',
    });
    return { outcome: 'failure', result: seen, fault: why };
  } catch (error) {
    const why = noAnswer(call, what, signal, error as Error);
    return why.outcome === 'none' || method === 'GET' ? failed(why) : { unknown: why };
  }
}

/** Why there was no answer, or only a part of one. */
function noAnswer(call: Call, what: string, signal: AbortSignal, error: Error): Fault {
  if (call.signal.aborted) return fault('cancelled', call.subject, 'cancelled', { outcome: 'unknown' });
  if (signal.aborted) return fault('timeout', call.subject, `${what} was not answered in time`, { effect: 'retry', outcome: 'unknown' });
  const cause = error.cause as { code?: string; message?: string } | undefined;
  const code = cause?.code ?? '';
  return fault('http-unreachable', call.subject, `${what} failed: ${code || cause?.message || error.message}`, {
    effect: 'retry',
    outcome: NEVER_SENT.has(code) ? 'none' : 'unknown',
  });
}

async function boundedText(answer: Response): Promise<string> {
  if (!answer.body) return '';
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of answer.body) {
    chunks.push(chunk);
    size += chunk.length;
    if (size > MAX_BODY) break;
  }
  return Buffer.concat(chunks).subarray(0, MAX_BODY).toString('utf8');
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}

const VERBS = [
  { verb: 'get', title: 'GET a URL', idempotent: true },
  { verb: 'put', title: 'PUT to a URL', idempotent: true },
  { verb: 'delete', title: 'DELETE a URL', idempotent: true },
  { verb: 'post', title: 'POST to a URL', idempotent: false },
  { verb: 'patch', title: 'PATCH a URL', idempotent: false },
] as const;

export function httpDriver(): Driver {
  return {
    name: 'http',
    actions: VERBS.map(({ verb, title, idempotent }) => ({
      declaration: { name: `http.${verb}`, title, inputs: requestInputs, outcomes, traits: { idempotent }, result },
      run: (call) => request(call, verb.toUpperCase()),
    })),
    close: async () => {},
  };
}
