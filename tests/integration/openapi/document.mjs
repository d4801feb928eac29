// Prints the OpenAPI document that a generated router of Backstage holds, as JSON. The document is an object literal in the
// file; what else the file does is given nothing to do it with.

import { readFileSync } from 'node:fs';
import { createContext, runInContext } from 'node:vm';

const [path] = process.argv.slice(2);
const router = { exports: {} };
const context = createContext({ exports: router.exports, require: () => ({}) });
runInContext(readFileSync(path, 'utf8'), context, { filename: path });
if (!router.exports.spec?.openapi) {
  console.error(`document.mjs: there is no document in ${path}`);
  process.exit(1);
}
console.log(JSON.stringify(router.exports.spec));
