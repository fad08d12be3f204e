// jest runs the TypeScript sources as ES modules; swc strips the types and nothing else.
/** @type {import('jest').Config} */
export default {
  testEnvironment: 'node',
  // A bound on what hangs, never on what is slow.
  testTimeout: 120_000,
  roots: ['<rootDir>/src', '<rootDir>/test', '<rootDir>/cmd'],
  testMatch: ['**/*.test.ts'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      {
        jsc: { target: 'es2024', parser: { syntax: 'typescript' }, experimental: { keepImportAttributes: true } },
        module: { type: 'es6' },
        sourceMaps: 'inline',
      },
    ],
  },
};
