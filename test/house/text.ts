/**
 * What a linter cannot see, because it can be told to look away: silenced rules, skipped tests, files that nobody will
 * review. Run in the tree to judge; prints `file:line: what is wrong`, exit code 1 where it finds something.
 */
import { globSync, readFileSync } from 'node:fs';

interface Ban {
  readonly what: string;
  readonly pattern: RegExp;
}

const BANS: readonly Ban[] = [
  { what: 'a lint rule is silenced', pattern: /\b(?:oxlint|eslint)-disable/ },
  { what: 'the compiler is silenced', pattern: /@ts-(?:ignore|expect-error|nocheck)/ },
  {
    what: 'a test does not run',
    pattern: /\b(?:it|test|describe)\.(?:skip|only|todo|failing|concurrent\.skip|concurrent\.only)\b/,
  },
  { what: 'a test does not run', pattern: /\b(?:xit|xtest|xdescribe|fit|fdescribe)\(/ },
];

let found = 0;
for (const file of globSync(['{src,cmd,test}/**/*.{ts,js,mjs}', '*.{js,mjs}', '.*.js'], {
  exclude: ['**/node_modules/**'],
}).sort()) {
  const lines = readFileSync(file, 'utf8').split('\n');
  for (const [index, line] of lines.entries()) {
    // The patterns above are the one place that may spell them.
    if (line.includes('pattern: /')) continue;
    for (const ban of BANS) {
      if (!ban.pattern.test(line)) continue;
      console.log(`${file}:${index + 1}: ${ban.what}: ${line.trim().slice(0, 100)}`);
      found++;
    }
  }
}
process.exitCode = found === 0 ? 0 : 1;
