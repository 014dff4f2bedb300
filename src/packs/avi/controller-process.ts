/** A controller of the Avi lab: a node of the cluster, with its part of the REST API. */
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { LabHost } from '../generic/host.ts';
import { serveHost } from '../generic/serve-host.ts';

type Node = { name: string; version: string; up: boolean };

class Controller extends LabHost {
  /** What the cluster shares: here a file, there a replicated database. */
  #shared(name: string): string {
    return join(this.options.folder, '../..', name);
  }

  protected override serve(request: IncomingMessage, response: ServerResponse): void {
    request.resume();
    const answer = (status: number, body: unknown) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    const readonly = existsSync(this.#shared('readonly'));
    const fence = String(request.headers['upshift-fence'] ?? '');
    const route = `${request.method} ${request.url}`;
    switch (route) {
      case 'GET /api/node':
        return void answer(200, { name: this.options.id, version: this.read('version'), boot: this.read('boot_id') });
      case 'GET /api/cluster/runtime':
        return void this.#runtime().then((runtime) => answer(200, runtime));
      case 'GET /api/versions': {
        const all = readdirSync(this.#shared('targets')).map((id) => readFileSync(this.#shared(`targets/${id}/version`), 'utf8').trim());
        return void answer(200, { others: [...new Set(all)].sort() });
      }
      case 'PUT /api/readonly':
        if (!readonly) this.note(fence, 'freeze', 'end', 'success');
        writeFileSync(this.#shared('readonly'), fence);
        return void answer(200, { readonly: true });
      case 'DELETE /api/readonly':
        if (readonly) this.note(fence, 'thaw', 'end', 'success');
        rmSync(this.#shared('readonly'), { force: true });
        return void answer(200, { readonly: false });
      default:
        if (request.method === 'GET') answer(404, { error: `no ${route}` });
        else if (readonly) answer(403, { error: 'the configuration is read-only while the system is upgraded' });
        else answer(200, { ok: true });
    }
  }

  /** The cluster as this node sees it: formed while all nodes answer; the leader is the first that does. */
  async #runtime(): Promise<{ nodes: Node[]; leader: string | null; formed: boolean; quorum: boolean; versions: string[] }> {
    const ports = JSON.parse(readFileSync(this.#shared('cluster-nodes'), 'utf8')) as Record<string, number>;
    const nodes = await Promise.all(
      Object.entries(ports).map(async ([name, port]): Promise<Node> => {
        try {
          const node = (await (await fetch(`http://127.0.0.1:${port}/api/node`, { signal: AbortSignal.timeout(1000) })).json()) as {
            version: string;
          };
          return { name, version: node.version, up: true };
        } catch {
          return { name, version: '', up: false };
        }
      }),
    );
    const up = nodes.filter((node) => node.up);
    return {
      nodes,
      leader: up[0]?.name ?? null,
      formed: up.length === nodes.length,
      quorum: up.length * 2 > nodes.length,
      versions: [...new Set(up.map((node) => node.version))].sort(),
    };
  }
}

serveHost((options) => new Controller(options));
