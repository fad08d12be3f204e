import type { JsonObject } from '../lib/json.ts';
import { parseJsonOrThrow } from '../lib/json-parse.ts';
import type { Operation } from '../lib/operation.ts';
import type { LeftOut } from './json-outline.ts';

/** What was read of a JSON request, and where its bytes say so. */
export type BodyReading = Pick<
  ParsedBody,
  'outline' | 'model' | 'bodyModel' | 'modelStart' | 'modelEnd' | 'stream' | 'includeUsage' | 'namesFiles'
>;

/** A JSON request that may be served. */
export class ParsedBody {
  readonly kind = 'json';
  readonly operation: Operation;
  /** As the client sent them. */
  readonly bytes: Buffer;
  /** What `outline` has stand-ins for; null: nothing. */
  readonly left: LeftOut | null;
  /** What the bytes say, but for texts and messages that have stand-ins here. */
  readonly outline: JsonObject;
  /** What the client named: the URL's name where the URL has one (Azure), else the body's. */
  readonly model: string;
  /** The body's own `model`; null where it has none, which only a URL that names the model allows. */
  readonly bodyModel: string | null;
  /** The bytes of the body's `model` value with its quotes; both -1 where it has none. */
  readonly modelStart: number;
  readonly modelEnd: number;
  readonly stream: boolean;
  /** `stream_options.include_usage` is true. */
  readonly includeUsage: boolean;
  /** False: no member, wherever it is, is called `file_id` or `file_ids`. */
  readonly namesFiles: boolean;
  #json: JsonObject | null;

  constructor(
    operation: Operation,
    bytes: Buffer,
    reading: BodyReading,
    left: LeftOut | null,
    json: JsonObject | null = left === null ? reading.outline : null,
  ) {
    this.operation = operation;
    this.bytes = bytes;
    this.left = left;
    this.outline = reading.outline;
    this.model = reading.model;
    this.bodyModel = reading.bodyModel;
    this.modelStart = reading.modelStart;
    this.modelEnd = reading.modelEnd;
    this.stream = reading.stream;
    this.includeUsage = reading.includeUsage;
    this.namesFiles = reading.namesFiles;
    this.#json = json;
  }

  /** All of it. What needs no texts takes `outline`: a large body is parsed when this is asked for first. */
  get json(): JsonObject {
    return (this.#json ??= parseJsonOrThrow(this.bytes.toString('utf8')) as JsonObject);
  }

  /** Of the model that what it names leads to. */
  of(model: string): ParsedBody {
    const { outline, bodyModel, modelStart, modelEnd, stream, includeUsage, namesFiles } = this;
    const reading = { outline, model, bodyModel, modelStart, modelEnd, stream, includeUsage, namesFiles };
    return new ParsedBody(this.operation, this.bytes, reading, this.left, this.#json);
  }

  /** To be translated: the same request with members that its bytes do not have. */
  with(members: JsonObject): ParsedBody {
    return new ParsedBody(this.operation, this.bytes, this, this.left, { ...this.json, ...members });
  }
}
