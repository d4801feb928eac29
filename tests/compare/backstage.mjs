// A running Backstage catalog backend, as one of the two sides of a comparison.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fetchReply } from './http.mjs';
import { serve } from './processes.mjs';
import { PROVIDERS, RULES } from './settings.mjs';
import { Side } from './side.mjs';
import { freePorts } from './ports.mjs';

const PROGRAM = fileURLToPath(new URL('backstage/backend.mjs', import.meta.url));
const TOKEN = 'a-token-of-the-comparison';

// `name` also names its folder and its databases: `NAME_catalog`.
export async function startBackstage(name, { folder, connection, orphanStrategy, locationTypes = ['url'], sources }) {
  const [port, control] = await freePorts(2);
  const origin = `http://127.0.0.1:${port}`;
  const config = {
    app: { baseUrl: origin },
    backend: {
      baseUrl: origin,
      listen: { host: '127.0.0.1', port },
      database: { client: 'pg', prefix: `${name}_`, connection },
      auth: { externalAccess: [{ type: 'static', options: { token: TOKEN, subject: 'compare' } }] },
      reading: { allow: [sources.files, sources.integration].map(({ host }) => ({ host })) },
    },
    integrations: { github: [{ host: 'github.com' }, sources.integration] },
    catalog: {
      // The shortest that it takes; a change is seen within 1.5 s.
      processingInterval: { seconds: 1 },
      stitchingStrategy: { pollingInterval: { milliseconds: 100 } },
      rules: RULES,
      ...(orphanStrategy && { orphanStrategy }),
    },
  };
  const home = join(folder, name);
  mkdirSync(home);
  const file = join(home, 'app-config.json');
  writeFileSync(file, JSON.stringify(config, undefined, 2));
  const child = serve(`Backstage (${name})`, process.execPath, [PROGRAM, '--config', file], {
    cwd: fileURLToPath(new URL('.', import.meta.url)),
    env: {
      ...process.env,
      NODE_ENV: 'production',
      LOG_LEVEL: 'warn',
      CONTROL_PORT: String(control),
      PROVIDERS: PROVIDERS.join(','),
      LOCATION_TYPES: locationTypes.join(','),
    },
  });
  return new Side({
    name: 'Backstage',
    origin,
    mount: '/api/catalog',
    token: () => TOKEN,
    child,
    push: async (provider, { type, added, removed = [] }) => {
      const body =
        type === 'full' ? { type, entities: added } : { type, added, removed: removed.map(entityRef => ({ entityRef })) };
      const reply = await fetchReply({ url: `http://127.0.0.1:${control}/${provider}`, method: 'POST', body });
      if (reply.status !== 200) throw new Error(`Backstage refuses a mutation: ${reply.body}`);
    },
  });
}
