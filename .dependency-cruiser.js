// Which room may know which. Type-only imports count. `reachable` rules are transitive. Tests and test/ may import anything.
// Every rule here has a planted violation in test/house/violations.yaml.

/** What serves a request, and what it stands on. */
const DATA_PLANE =
  'auth cache console credentials dialects limits pins prices providers router selection telemetry upstream routetable lib'.split(
    ' ',
  );

/** What each folder of src/ may import of the others; a folder that is not listed may import none. */
const MAY_IMPORT = {
  lib: [],
  routetable: ['lib'],
  api: ['lib'],
  prices: ['routetable', 'lib'],
  compile: ['api', 'prices', 'routetable', 'lib'],
  render: ['api', 'routetable', 'lib'],
  dialects: ['routetable', 'lib'],
  providers: ['dialects', 'routetable', 'lib'],
  credentials: ['upstream', 'routetable', 'lib'],
  selection: ['dialects', 'routetable', 'lib'],
  router: ['selection', 'dialects', 'routetable', 'lib'],
  limits: ['prices', 'selection', 'routetable', 'lib'],
  cache: ['dialects', 'limits', 'routetable', 'lib'],
  pins: ['limits', 'routetable', 'lib'],
  auth: ['selection', 'routetable', 'lib'],
  telemetry: ['selection', 'routetable', 'lib'],
  upstream: ['selection', 'routetable', 'lib'],
  gateway: DATA_PLANE,
  console: ['routetable', 'lib'],
  kube: ['api', 'lib'],
  operator: ['api', 'compile', 'kube', 'render', 'routetable', 'telemetry', 'lib'],
  cli: ['api', 'compile', 'gateway', 'kube', 'render', ...DATA_PLANE],
};

/** Which package only which files import. */
const ONLY_FROM = {
  undici: '^src/upstream/',
  express: '^src/gateway/admin[^/]*\\.ts$|^src/gateway/admin/',
  'prom-client': '^src/telemetry/',
  '@opentelemetry/.+': '^src/telemetry/',
  pino: '^src/telemetry/',
  ioredis: '^src/limits/',
  '@kubernetes/client-node': '^src/kube/',
  commander: '^src/cli/|^cmd/',
  '@smithy/eventstream-codec': '^src/providers/shared/frames\\.ts$',
  '@smithy/signature-v4': '^src/providers/bedrock/',
  jsonrepair: '^src/dialects/structured/',
  re2js: '^src/dialects/structured/',
};

const TESTS = '\\.test\\.ts$|^test/|/testdata/';
const PURE = '^src/(compile|dialects|prices|providers|selection|render|routetable|router/scorers)/';
// Of node's own modules the pure folders reach only those without a clock, randomness or I/O (node:crypto: lint holds it to hashes).
const PURE_CORE = '^(node:)?(assert|buffer|crypto|events|punycode|querystring|string_decoder|url|util|zlib)$';

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    {
      name: 'no-cycles',
      comment: 'modules that import each other cannot be read, tested or replaced one at a time',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'gateway-knows-no-kubernetes',
      comment: 'the data plane runs from a RouteTable alone: it must not reach what makes one, not even through another module',
      severity: 'error',
      from: { path: '^src/gateway/', pathNot: TESTS },
      to: { path: '^src/(api|compile|kube|operator|cli|render)/', reachable: true },
    },
    {
      name: 'pure-reaches-no-io',
      comment: 'pure folders must not reach a clock, randomness, files or the network, not even through another module',
      severity: 'error',
      from: { path: PURE, pathNot: TESTS },
      to: { path: '^(node:)?[a-z_0-9]+(/promises)?$', pathNot: PURE_CORE, reachable: true },
    },
    {
      name: 'wiring-imports-no-tests',
      comment: 'what ships must not import what tests it',
      severity: 'error',
      from: { path: '^(src|cmd)/', pathNot: TESTS },
      to: { path: TESTS },
    },
    {
      name: 'cmd-is-the-top',
      comment: 'cmd/ wires; nothing imports it',
      severity: 'error',
      from: { path: '^src/', pathNot: TESTS },
      to: { path: '^cmd/' },
    },
    {
      name: 'no-dev-dependencies',
      comment: 'what ships imports only what package.json lists under dependencies',
      severity: 'error',
      from: { path: '^(src|cmd)/', pathNot: TESTS },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg'] },
    },
    {
      name: 'not-resolvable',
      comment: 'an import that leads nowhere',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
    ...Object.entries(MAY_IMPORT).map(([folder, allowed]) => ({
      name: `${folder}-imports`,
      comment: `src/${folder} imports ${allowed.length === 0 ? 'nothing else of ours' : `of ours only ${allowed.join(', ')}`}`,
      severity: 'error',
      from: { path: `^src/${folder}/`, pathNot: TESTS },
      to: { path: '^src/', pathNot: `^src/(${[folder, ...allowed].join('|')})/` },
    })),
    {
      name: 'unknown-folder',
      comment: 'a new folder of src/ says in .dependency-cruiser.js what it may import',
      severity: 'error',
      from: { path: '^src/', pathNot: `${TESTS}|^src/(${Object.keys(MAY_IMPORT).join('|')})/` },
      to: {},
    },
    ...Object.entries(ONLY_FROM).map(([name, where]) => ({
      name: `${name.replaceAll(/[^a-z0-9-]/g, '')}-only-there`,
      comment: `${name} is imported only from ${where}`,
      severity: 'error',
      from: { path: '^(src|cmd)/', pathNot: `${TESTS}|${where}` },
      // A package that is not installed is seen by its bare name.
      to: { path: `(^|/)node_modules/(@types/)?${name}/|^${name}$` },
    })),
  ],
  options: {
    parser: 'swc',
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(dist|node_modules)/' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
      extensions: ['.ts', '.js', '.mjs', '.cjs', '.json'],
    },
  },
};
