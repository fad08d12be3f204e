// Promise: each request that goes out, of every dialect, provider and feature, is one that the provider's own SDK could have sent.
import { symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { type ClientOperation, FEATURE_ROWS, fateOf, sampleOf, type Upstream } from '../../src/providers/features.ts';
import { providerFor } from '../../src/providers/index.ts';
import { UPSTREAMS } from '../../src/providers/reference.ts';
import { installedSdks } from './install.ts';
import { inFolder, runClient } from './program.ts';
import { SDK_TYPES } from './sdk-types.ts';

const OPERATIONS: readonly ClientOperation[] = ['chat', 'responses', 'messages', 'completions'];
const COMPILER = path.join(import.meta.dirname, '../../node_modules/typescript/bin/tsc');

/** By the reference's name of an upstream. */
const TYPES: Readonly<Record<string, string>> = {
  'OpenAI, Azure': 'OpenAIRequest',
  compatible: 'CompatibleRequest',
  Anthropic: 'AnthropicRequest',
  'Gemini, Vertex': 'GeminiRequest',
  Bedrock: 'BedrockRequest',
  'Bedrock: Claude': 'BedrockRequest',
  Mistral: 'MistralRequest',
  Cohere: 'CohereRequest',
  'Ollama’s own': 'OllamaRequest',
};

interface Written {
  readonly what: string;
  readonly type: string;
  readonly json: string;
}

function typeOf({ name }: Upstream, operation: ClientOperation): string {
  // Claude's own dialect passes to it there.
  return name === 'Bedrock: Claude' && operation === 'messages' ? 'BedrockClaudeRequest' : (TYPES[name] ?? 'unknown');
}

const WRITTEN: readonly Written[] = UPSTREAMS.flatMap((upstream) =>
  FEATURE_ROWS.flatMap((row) =>
    OPERATIONS.flatMap((operation): Written[] => {
      const fate = fateOf(row, operation, upstream);
      const body = sampleOf(row, operation);
      const translation = providerFor(upstream.kind).exchange(upstream.target, operation)?.translation ?? null;
      if (fate === null || body === null || translation === null) return [];
      const type = typeOf(upstream, operation);
      // What is Claude's own goes as it is, whatever its members are.
      if (type === 'BedrockClaudeRequest' && row.name === 'A member that nobody knows') return [];
      const json = translation.write(body, () => undefined, null).toString();
      return [{ what: `${row.name}, asked in ${operation} of ${upstream.name}`, type, json }];
    }),
  ),
);

const SETTINGS = {
  compilerOptions: {
    target: 'es2024',
    lib: ['es2024', 'dom'],
    module: 'nodenext',
    moduleResolution: 'nodenext',
    types: [],
    strict: true,
    skipLibCheck: true,
    noEmit: true,
    allowImportingTsExtensions: true,
  },
  files: ['requests.ts'],
};

/** What the compiler says of each, by what it is of; a literal's unknown members are errors, too. */
async function complaints(sdks: string, requests: readonly Written[]): Promise<readonly string[]> {
  return inFolder(async (folder) => {
    // One line each.
    const lines = requests.map(({ type, json }, index) => `export const request${index}: Sdk.${type} = ${json};`);
    writeFileSync(path.join(folder, 'requests.ts'), [...lines, `import type * as Sdk from './sdk.ts';`].join('\n'));
    writeFileSync(path.join(folder, 'sdk.ts'), SDK_TYPES);
    writeFileSync(path.join(folder, 'tsconfig.json'), JSON.stringify(SETTINGS));
    writeFileSync(path.join(folder, 'package.json'), '{"type": "module"}');
    symlinkSync(path.join(sdks, 'node_modules'), path.join(folder, 'node_modules'));
    const { code, stdout, stderr } = await runClient(process.execPath, [COMPILER, '-p', folder], folder, {});
    const said = stdout.split('\n').filter((line) => /error TS\d+/.test(line));
    if ((code === 0) !== (said.length === 0)) throw new Error(`the compiler ended with ${code}: ${stdout}${stderr}`);
    return said.map((line) => {
      const found = /^requests\.ts\((\d+),\d+\): (.*)$/.exec(line);
      return found === null ? line : `${requests[Number(found[1]) - 1]?.what ?? ''}: ${found[2] ?? ''}`;
    });
  });
}

const installed = installedSdks();

describe('requests that go out', () => {
  if (installed === undefined) {
    it('absent: the providers’ SDKs: `make test-clients` installs them', () => undefined);
    return;
  }

  it('are those of the providers’ own SDKs', async () => {
    expect(WRITTEN.length).toBeGreaterThan(300);
    expect(await complaints(installed, WRITTEN)).toEqual([]);
  });

  it('would be told where one had a member more, or one of another kind', async () => {
    const spoiled = [...new Map(WRITTEN.map((each) => [each.type, each])).values()].flatMap((each) => {
      const { json } = each;
      return [`{"mark4711": 1, ${json.slice(1)}`, json.replace(/"(messages|contents)":\[/, '"$1":[7,')].map((spoilt) => ({
        ...each,
        json: spoilt,
      }));
    });
    const told = await complaints(installed, spoiled);
    for (const { what } of spoiled) expect(told.filter((line) => line.startsWith(`${what}: `)).length).toBeGreaterThanOrEqual(2);
  });
});
