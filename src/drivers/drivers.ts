/** `plait/drivers`: what lets drivers of databases and brokers use plait's sockets. See docs/drivers.md. */

export { type IoredisConfig, ioredis } from "./ioredis.ts";
export { type MysqlConfig, mysql } from "./mysql.ts";
export { type NatsOptions, type NatsTransportFactory, nats } from "./nats.ts";
export type { NatsConnectionOptions, NatsServer, NatsTransport } from "./nats_transport.ts";
export type { DriverOptions } from "./options.ts";
export { type PostgresConfig, type PostgresOptions, postgres } from "./postgres.ts";
