/** Which image a fleet runs: the operator's, or of another version where `spec.version` holds it there. */
import { issue, type Issue } from '../lib/issue.ts';

/** `registry:5000/fairlead:0.1.0@sha256:…` with another tag; without a version, the image as it is. */
export function imageOf(image: string, version: string | undefined): string {
  if (version === undefined) return image;
  const [named = image] = image.split('@');
  const tag = named.indexOf(':', named.lastIndexOf('/') + 1);
  return `${tag === -1 ? named : named.slice(0, tag)}:${version}`;
}

const VERSION = /^([0-9]+)\.([0-9]+)\.[0-9]+/;

/** Operator and pods work together one minor version apart, and no further. */
export function versionIssue(version: string | undefined, operator: string): Issue | undefined {
  if (version === undefined || version === operator) return undefined;
  const pod = VERSION.exec(version);
  const own = VERSION.exec(operator);
  if (pod === null || own === null) return undefined;
  const near = pod[1] === own[1] && Math.abs(Number(pod[2]) - Number(own[2])) <= 1;
  return near
    ? undefined
    : issue(
        'spec.version',
        'InvalidSpec',
        `${JSON.stringify(version)} is more than one minor version from the operator's ${operator}: upgrade the fleet first, or go back with the operator`,
      );
}
