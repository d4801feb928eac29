// A running Greenroom host, as the other side of a comparison. It has a tenant for each Backstage instance, since what an
// instance of Backstage is configured with is what a tenant is configured with here.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fetchReply } from './http.mjs';
import { freePorts } from './ports.mjs';
import { serve } from './processes.mjs';
import { RULES } from './settings.mjs';
import { Side } from './side.mjs';

// `tenants` has the orphan strategy of each, by name. Returns their sides by name.
export async function startGreenroom(program, { folder, tenants, sources }) {
  const home = join(folder, 'greenroom');
  mkdirSync(home);
  const [port, metrics] = await freePorts(2);
  const origin = `http://127.0.0.1:${port}`;
  const file = join(home, 'greenroom.toml');
  writeFileSync(file, configuration(tenants, sources));
  const data = join(home, 'data');
  const args = ['serve', '--config', file, '--data-dir', data];
  args.push('--listen', `127.0.0.1:${port}`, '--metrics-listen', `127.0.0.1:${metrics}`);
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('GREENROOM_')));
  const child = serve('Greenroom', program, args, { cwd: home, env });
  const token = () => readFileSync(join(data, 'operator-token'), 'utf8').trim();
  const sideOf = tenant =>
    new Side({
      name: 'Greenroom',
      origin,
      mount: `/tenants/${tenant}/api/catalog`,
      token,
      child,
      push: async (provider, { type, added, removed = [] }) => {
        const lines = [...added.map(add => ({ add })), ...removed.map(entityRef => ({ remove: { entityRef } }))];
        const raw = [...lines, { commit: { count: lines.length } }].map(line => `${JSON.stringify(line)}\n`).join('');
        const url = `${origin}/tenants/${tenant}/providers/${provider}/mutations?type=${type}&allow_shrink=true`;
        const reply = await fetchReply({ url, method: 'POST', headers: { authorization: `Bearer ${token()}` }, raw });
        if (reply.status !== 200) throw new Error(`Greenroom refuses a mutation: ${JSON.stringify(reply.body)}`);
      },
    });
  return Object.fromEntries(Object.keys(tenants).map(tenant => [tenant, sideOf(tenant)]));
}

// The keys are those of app-config.yaml; strings of JSON are strings of TOML.
function configuration(tenants, { files, integration }) {
  const inline = value =>
    Array.isArray(value)
      ? `[${value.map(inline).join(', ')}]`
      : typeof value === 'object'
        ? `{ ${Object.entries(value)
            .map(([key, inner]) => `${key} = ${inline(inner)}`)
            .join(', ')} }`
        : JSON.stringify(value);
  // Backstage reads any address that is named; here the operator opens the loopback.
  const lines = ['private_networks = ["127.0.0.0/8"]'];
  for (const [tenant, orphanStrategy] of Object.entries(tenants)) {
    lines.push(
      `[tenants.${tenant}]`,
      `catalog.rules = ${inline(RULES)}`,
      `reading.allow = ${inline([files, integration].map(({ host }) => ({ host })))}`,
    );
    lines.push(`integrations.github = ${inline([{ host: 'github.com' }, integration])}`);
    if (orphanStrategy) lines.push(`catalog.orphanStrategy = ${inline(orphanStrategy)}`);
  }
  return `${lines.join('\n')}\n`;
}
