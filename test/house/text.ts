/**
 * What no linter can be trusted with, because a comment tells it to look away, and tests that do not run. Run in the tree
 * to judge; prints `file:line: what is wrong`, exit code 1 where it finds something.
 */
import { globSync, readFileSync } from 'node:fs';

interface Ban {
  readonly what: string;
  readonly pattern: RegExp;
}

const BANS: readonly Ban[] = [
  { what: 'a lint rule is silenced', pattern: /\b(?:oxlint|eslint)-disable/ },
  { what: 'the compiler is silenced', pattern: /@ts-(?:ignore|expect-error|nocheck)/ },
  { what: 'a test does not run', pattern: /\b(?:it|test|describe)(?:\.concurrent)?\.(?:skip|only|todo|failing)\b/ },
  { what: 'a test does not run', pattern: /\b(?:xit|xtest|xdescribe|fit|fdescribe)\(/ },
];

const SOURCES = ['{src,cmd,test}/**/*.{ts,js,mjs}', '*.{js,mjs}', '.*.js'];
/** The one file that may spell what it looks for. */
const ITSELF = 'test/house/text.ts';

let found = 0;
for (const file of globSync(SOURCES, { exclude: ['**/node_modules/**', ITSELF] }).sort()) {
  for (const [index, line] of readFileSync(file, 'utf8').split('\n').entries()) {
    for (const ban of BANS.filter((candidate) => candidate.pattern.test(line))) {
      console.log(`${file}:${index + 1}: ${ban.what}: ${line.trim().slice(0, 100)}`);
      found++;
    }
  }
}
process.exitCode = found === 0 ? 0 : 1;
