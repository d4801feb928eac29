// Parses YAML files with npm `yaml`, the way Backstage does, for a comparison in Rust.
//
// Reads paths from standard input, one a line, and prints one JSON line for each: {"path": …, "docs": […]}, a document being
// {"value": …} (null where it is blank) or {"error": "…"}.

import { readFileSync } from 'node:fs';
import { parseAllDocuments } from 'yaml';

for (const path of readFileSync(0, 'utf8').split('\n').filter(Boolean)) {
  const docs = parseAllDocuments(readFileSync(path, 'utf8'), { logLevel: 'error' }).map(document => {
    try {
      // An alias without an anchor is found only when the value is made.
      const value = document.toJSON() ?? null;
      return document.errors.length > 0 ? { error: document.errors[0].message } : { value };
    } catch (error) {
      return { error: error.message };
    }
  });
  console.log(JSON.stringify({ path, docs }));
}
