/**
 * A proof of reasoning is worth something only to the provider who gave it, and others refuse it. What the gateway hands out in
 * a dialect that is not its giver's bears the giver's name, so that it goes back to no one else.
 */
export type SignatureOwner = 'anthropic' | 'gemini' | 'bedrock' | 'openai';

const MARK = /^(anthropic|gemini|bedrock|openai)~/;

export function seal(owner: SignatureOwner, signature: string): string {
  return `${owner}~${signature}`;
}

/** null: it is somebody else's, or nobody knows whose. */
export function unseal(owner: SignatureOwner, sealed: string | null): string | null {
  return sealed !== null && sealed.startsWith(`${owner}~`) ? sealed.slice(owner.length + 1) : null;
}

/** null: it is not sealed. */
export function ownerOf(signature: string | null): SignatureOwner | null {
  const mark = signature === null ? null : MARK.exec(signature);
  return mark === null ? null : (mark[1] as SignatureOwner);
}

/** It came out of a translation. */
export function isSealed(signature: string): boolean {
  return MARK.test(signature);
}
