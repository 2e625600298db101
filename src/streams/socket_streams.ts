/**
 * The two ends of a socket as streams of the Streams standard (streams.spec.whatwg.org). This file knows a
 * socket only by the two interfaces below, so that the layer of sockets can import it.
 */

import { outsideOfFibers } from "../runtime/wait.ts";

/** The socket. */
export interface Connection<Data> {
  write(data: Data): Promise<unknown>;
  shutdown(): Promise<void>;
  close(): void;
  reset(): void;
}

/** The reads of the readable stream. At most one is under way. */
export interface Reads {
  /**
   * Receives into a buffer, and returns the number of bytes, 0 at the end of the stream. Without a buffer it
   * returns a chunk, null at the end.
   */
  read(buffer: Uint8Array | undefined): Promise<number | Uint8Array<ArrayBuffer> | null>;
  /** Ends the read under way. It takes no byte. */
  withdraw(): void;
  /** The error of a read or a write of a closed socket. */
  closedError(syscall: string): Error;
}

/** How far an end is. */
type State = "unused" | "open" | "done" | "failed";

/**
 * A stream may be read and written by several fibers, and by code after them: the cancellation of one of them
 * must not end the stream.
 */
export class SocketStreams<Data> {
  readonly #connection: Connection<Data>;
  readonly #reads: Reads;
  #readable: ReadableStream<Uint8Array<ArrayBuffer>> | undefined = undefined;
  #writable: WritableStream<Data> | undefined = undefined;
  #source: ReadableByteStreamController | undefined = undefined;
  #sink: WritableStreamDefaultController | undefined = undefined;
  #reading: State = "unused";
  #writing: State = "unused";
  /** Whether an operation is under way. When the socket is closed, its error is that of the stream. */
  #isPulling = false;
  #isSending = false;
  #isClosed = false;

  constructor(connection: Connection<Data>, reads: Reads) {
    this.#connection = connection;
    this.#reads = reads;
  }

  get readable(): ReadableStream<Uint8Array<ArrayBuffer>> {
    this.#readable ??= this.#makeReadable();
    return this.#readable;
  }

  get writable(): WritableStream<Data> {
    this.#writable ??= this.#makeWritable();
    return this.#writable;
  }

  #makeReadable(): ReadableStream<Uint8Array<ArrayBuffer>> {
    this.#reading = "open";
    // The standard calls `pull` only when a read waits: the highWaterMark of a byte stream is 0.
    return new ReadableStream({
      type: "bytes",
      start: (controller) => {
        this.#source = controller as ReadableByteStreamController;
      },
      pull: (controller) => this.#pull(controller as ReadableByteStreamController),
      cancel: () => {
        this.#endReading("done");
        this.#reads.withdraw();
      },
    });
  }

  async #pull(controller: ReadableByteStreamController): Promise<void> {
    // The view that a BYOB reader has given, or the rest of it.
    const request = controller.byobRequest;
    const view = request?.view as Uint8Array<ArrayBuffer> | null | undefined;
    this.#isPulling = true;
    let received: number | Uint8Array<ArrayBuffer> | null;
    try {
      received = await outsideOfFibers(() => this.#reads.read(view ?? undefined));
    } catch (error) {
      this.#endReading("failed");
      throw error;
    } finally {
      this.#isPulling = false;
    }
    // It was cancelled when the read had ended already.
    if (this.#reading !== "open") return;
    if (received === null || received === 0) this.#close(controller);
    else if (typeof received === "number") request!.respond(received);
    else controller.enqueue(received);
    if (this.#isClosed) this.#failIdleStreams();
  }

  #close(controller: ReadableByteStreamController): void {
    try {
      controller.close();
    } catch (error) {
      // The end is within a number that a view is to have. The stream has failed with this error.
      this.#endReading("failed");
      throw error;
    }
    // A reader may have given its view since the read began. The standard has it answered too.
    controller.byobRequest?.respond(0);
    this.#endReading("done");
  }

  #makeWritable(): WritableStream<Data> {
    this.#writing = "open";
    return new WritableStream<Data>({
      start: (controller) => {
        this.#sink = controller;
        // The standard calls `abort` below only after the write under way, which may wait for a peer that
        // does not read.
        const { signal } = controller as WritableStreamDefaultController & { signal: AbortSignal };
        signal.addEventListener("abort", () => {
          this.#writing = "failed";
          this.#connection.reset();
        });
      },
      write: (data) => this.#send(() => this.#connection.write(data)),
      close: () =>
        this.#send(async () => {
          await this.#connection.shutdown();
          this.#endWriting("done");
        }),
    });
  }

  async #send(call: () => Promise<unknown>): Promise<void> {
    this.#isSending = true;
    try {
      await outsideOfFibers(call);
    } catch (error) {
      this.#endWriting("failed");
      throw error;
    } finally {
      this.#isSending = false;
    }
    if (this.#isClosed) this.#failIdleStreams();
  }

  #endReading(state: State): void {
    if (this.#reading !== "open") return;
    this.#reading = state;
    this.#closeAfterBoth();
  }

  #endWriting(state: State): void {
    if (this.#writing !== "open") return;
    this.#writing = state;
    this.#closeAfterBoth();
  }

  #closeAfterBoth(): void {
    const hasEnded = (state: State): boolean => state === "done" || state === "failed";
    if (!hasEnded(this.#reading) || !hasEnded(this.#writing)) return;
    // With `close` the peer would take a part of the data for all of it.
    if (this.#writing === "failed") this.#connection.reset();
    else this.#connection.close();
  }

  /** The socket is closed: no read or write can follow. */
  socketClosed(): void {
    this.#isClosed = true;
    this.#failIdleStreams();
  }

  /** An operation that is under way may have succeeded already. Its stream fails after it. */
  #failIdleStreams(): void {
    if (this.#reading === "open" && !this.#isPulling) {
      this.#reading = "failed";
      this.#source?.error(this.#reads.closedError("read"));
    }
    if (this.#writing === "open" && !this.#isSending) {
      this.#writing = "failed";
      this.#sink?.error(this.#reads.closedError("write"));
    }
  }
}
