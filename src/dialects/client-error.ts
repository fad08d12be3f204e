/** An error in OpenAI's words, which every client dialect is made from. */
export interface ClientError {
  readonly message: string;
  /** e.g. `invalid_request_error`. */
  readonly type: string;
  readonly code: string | null;
  readonly param: string | null;
}
