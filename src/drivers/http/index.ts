/** HTTP requests, by the platform's own fetch. */
import { type Fault, fault } from '../../model/fault.ts';
import * as s from '../../model/schema.ts';
import type { ActionEnd, Call, Driver } from '../contract.ts';

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

/** Errors that say the request was never sent. */
const NEVER_SENT = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EHOSTUNREACH', 'ENETUNREACH', 'EAI_AGAIN', 'UND_ERR_CONNECT_TIMEOUT']);

function urlOf(call: Call): string | Fault {
  const url = call.input['url'] as string;
  const base = call.connect.http?.url;
  if (/^https?:\/\//.test(url)) return url;
  if (base === undefined) return fault('no-url', call.subject, `${url} is a path, and ${call.subject} has no connect.http.url`);
  return new URL(url, base.endsWith('/') ? base : `${base}/`).href;
}

async function request(call: Call, method: string): Promise<ActionEnd> {
  const failed = (why: Fault): ActionEnd => ({ outcome: 'failure', result: { status: 0, body: null, text: '', headers: {} }, fault: why });
  const url = urlOf(call);
  if (typeof url !== 'string') return failed(url);
  const { body, headers, ok } = call.input as { body?: unknown; headers?: Record<string, string>; ok?: number[] };
  const json = body !== undefined && typeof body !== 'string';
  const signal = AbortSignal.any([call.signal, AbortSignal.timeout(Math.max(1, call.deadline - Date.now()))]);
  try {
    const answer = await fetch(url, {
      method,
      headers: {
        ...(json ? { 'content-type': 'application/json' } : {}),
        'upshift-fence': call.fence,
        ...call.connect.http?.headers,
        ...headers,
      },
      ...(body === undefined ? {} : { body: json ? JSON.stringify(body) : (body as string) }),
      redirect: method === 'GET' ? 'follow' : 'manual',
      signal,
    });
    const text = await boundedText(answer);
    const seen = { status: answer.status, body: parsed(text), text, headers: Object.fromEntries(answer.headers) };
    const expected = ok ? ok.includes(answer.status) : answer.ok;
    if (expected) return { outcome: 'success', result: seen };
    const why = fault('http-status', call.subject, `${method} ${url} was answered with ${answer.status}`, {
      expected: ok ? ok.join(', ') : '200 to 299',
      found: `${answer.status} ${text.slice(0, 200)}`.trim(),
      outcome: 'applied',
    });
    return { outcome: 'failure', result: seen, fault: why };
  } catch (error) {
    const cause = (error as { cause?: { code?: string; message?: string } }).cause;
    const code = cause?.code ?? '';
    const late = signal.aborted && !call.signal.aborted;
    const why = fault(
      late ? 'timeout' : 'http-unreachable',
      call.subject,
      `${method} ${url} ${late ? 'was not answered in time' : `failed: ${code || cause?.message || (error as Error).message}`}`,
      {
        effect: 'retry',
        outcome: NEVER_SENT.has(code) ? 'none' : 'unknown',
      },
    );
    return NEVER_SENT.has(code) || method === 'GET' || method === 'HEAD' ? failed(why) : { unknown: why };
  }
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
