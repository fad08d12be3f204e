/**
 * What is wrong with something a user applied. A value that becomes a status condition or a line of the CLI; never thrown.
 * `path` is written as the API server writes it: `spec.rules[0].targets[1].model`; empty for the document as a whole.
 */
export interface Issue {
  readonly path: string;
  /** UpperCamel, one of the reasons of the API's conditions or `Invalid`. */
  readonly reason: string;
  /** Names the value and what would be right. */
  readonly message: string;
  /** Nothing is wrong but that something it refers to is not there, where the reason alone does not tell that. */
  readonly absent?: true;
}

export function issue(path: string, reason: string, message: string): Issue {
  return { path, reason, message };
}

export function formatIssue(found: Issue): string {
  return found.path === '' ? found.message : `${found.path}: ${found.message}`;
}
