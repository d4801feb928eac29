// Questions that change nothing: every endpoint, asked well and badly. `location` has the ids of the registered location, by side.

import { probeList } from './probes/list.mjs';
import { probeLocations } from './probes/locations.mjs';
import { probePlatform } from './probes/platform.mjs';
import { probeQueries } from './probes/queries.mjs';
import { probeSingle } from './probes/single.mjs';
import { probeValidation } from './probes/validation.mjs';

export async function probe(pair, { files, location }) {
  await probeList(pair);
  await probeSingle(pair);
  await probeQueries(pair);
  await probeValidation(pair, { files });
  await probeLocations(pair, { files, location });
  await probePlatform(pair);
}
