import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import { imageOf, versionIssue } from './image.ts';
import { gatewayOfServiceAccount, nameIssue, workloadName } from './names.ts';
import { canonicalQuantity } from './quantity.ts';

describe('imageOf', () => {
  it.each([
    ['fairlead:0.1.0', undefined, 'fairlead:0.1.0'],
    ['fairlead', '0.1.0', 'fairlead:0.1.0'],
    ['fairlead:0.2.0', '0.1.0', 'fairlead:0.1.0'],
    ['registry:5000/a/fairlead', '0.1.0', 'registry:5000/a/fairlead:0.1.0'],
    ['registry:5000/a/fairlead:0.2.0@sha256:abc', '0.1.0', 'registry:5000/a/fairlead:0.1.0'],
    ['registry:5000/a/fairlead@sha256:abc', undefined, 'registry:5000/a/fairlead@sha256:abc'],
  ])('%s at version %s is %s', (image, version, expected) => {
    expect(imageOf(image, version)).toBe(expected);
  });
});

describe('versionIssue', () => {
  it.each([undefined, '0.2.0', '0.2.7', '0.1.0', '0.3.0', '0.3.0-rc.1'])('takes %s beside an operator 0.2.0', (version) => {
    expect(versionIssue(version, '0.2.0')).toBeUndefined();
  });

  it.each(['0.4.0', '0.0.9', '1.2.0', '1.0.0'])('refuses %s beside an operator 0.2.5', (version) => {
    expect(versionIssue(version, '0.2.5')).toMatchObject({ path: 'spec.version', reason: 'InvalidSpec' });
  });
});

describe('names', () => {
  it.each(['default', 'a', 'a-1', `a${'b'.repeat(62)}`])('takes %s', (name) => {
    expect(nameIssue(name)).toBeUndefined();
    expect(gatewayOfServiceAccount(workloadName(name))).toBe(name);
  });

  it.each(['1a', 'a.b', 'a-', `a${'b'.repeat(63)}`])('says what is wrong with %s', (name) => {
    expect(nameIssue(name)).toMatchObject({ path: 'metadata.name', reason: 'InvalidSpec' });
  });

  it.each(['default', '-gateway', 'gateway', 'default-gateway-2'])('sees no gateway in the ServiceAccount %s', (name) => {
    expect(gatewayOfServiceAccount(name)).toBeNull();
  });
});

describe('canonicalQuantity', () => {
  it.each<[string | number, string]>([
    [1, '1'],
    [0, '0'],
    ['0', '0'],
    ['1000m', '1'],
    ['1500m', '1500m'],
    ['0.5', '500m'],
    ['0.1m', '1m'],
    ['1.5Gi', '1536Mi'],
    ['1024Mi', '1Gi'],
    ['1000Mi', '1000Mi'],
    ['1000M', '1G'],
    ['1000000', '1M'],
    ['1024', '1024'],
    ['0.5Ki', '512'],
    ['0.0000000001', '1m'],
    ['1500u', '2m'],
    ['100n', '1m'],
    ['3.166198Mi', '3319999235m'],
    ['0.9999Ki', '1023898m'],
    ['0.00005k', '50m'],
    ['2.5', '2500m'],
    ['nonsense', 'nonsense'],
  ])('%s is %s', (given, expected) => {
    expect(canonicalQuantity(given)).toBe(expected);
  });

  it('changes nothing the second time', () => {
    const suffixes = fc.constantFrom('', 'm', 'k', 'M', 'G', 'Ki', 'Mi', 'Gi', 'Ti');
    const quantities = fc.tuple(fc.nat(), fc.option(fc.nat(999_999), { nil: undefined }), suffixes);
    fc.assert(
      fc.property(quantities, ([whole, fraction, suffix]) => {
        const once = canonicalQuantity(`${whole}${fraction === undefined ? '' : `.${fraction}`}${suffix}`);
        expect(canonicalQuantity(once)).toBe(once);
      }),
    );
  });
});
