/**
 * What `import "plait"` loads of clusters. The rest is loaded by the first call of `cluster`, and in the
 * threads of its workers.
 */

import { assignment } from "./assignment.ts";
import type { Cluster } from "./cluster.ts";
import type { ClusterOptions } from "./options.ts";

/**
 * Serves a port with several Workers, each with a scheduler of its own. The kernel distributes the
 * connections among them (SO_REUSEPORT). Resolves when all workers listen.
 *
 * A worker that dies, by an exception, an unhandled rejection or `process.exit`, loses its own
 * connections and leaves the other workers alone. It is restarted after 100 ms. Each further death
 * doubles this pause, up to 10 s; after a worker has listened for 30 s it is 100 ms again.
 *
 * The main thread and the workers exchange messages through Bun's event loop: a cluster does not
 * work under `block`.
 *
 * @throws {TypeError} {RangeError} for options that are unknown or wrong, or cannot be cloned
 * @throws {TlsError} for certificates and keys that cannot be used
 * @throws {SocketError} `EADDRINUSE`, `EACCES` and the like
 * @throws what the module throws when it is loaded, or its `setup`, with that error's stack
 * @throws {WorkerError} when a worker ends before it listens
 */
export function cluster(options: ClusterOptions): Promise<Cluster> {
  // The compiler rewrites no extension in a call of require. Without one it is .ts here, and .js in the package.
  const { startCluster } = require("./cluster") as typeof import("./cluster.ts");
  return startCluster(options);
}

// In a bundle the module of a handler starts its worker by `import "plait"`.
if (assignment !== undefined) require("./worker");
