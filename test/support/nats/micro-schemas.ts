/**
 * The nats CLI checks answers to `$SRV.PING`, `INFO` and `STATS` against the schemas `io.nats.micro.v1.*` of jsm.go, and shows
 * nothing if one answer does not pass. Go then reads durations and counters as 64-bit integers.
 */
import { z } from "zod";

const name = z.string().regex(/^[a-zA-Z0-9_-]+$/);
const version = z
  .string()
  .regex(/^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$/);
const metadata = z.record(z.string(), z.string()).nullable().optional();
const whole = z.int();
const identity = { name, id: z.string().min(1), version, metadata };

export const PING: z.ZodType = z.object({ type: z.literal("io.nats.micro.v1.ping_response"), ...identity });

export const INFO: z.ZodType = z.object({
  type: z.literal("io.nats.micro.v1.info_response"),
  ...identity,
  description: z.string(),
  endpoints: z.array(
    z.object({ name, subject: z.string().min(1), queue_group: z.string().optional(), metadata }),
  ),
});

export const STATS: z.ZodType = z.object({
  type: z.literal("io.nats.micro.v1.stats_response"),
  ...identity,
  started: z.iso.datetime({ offset: true }),
  endpoints: z.array(
    z.object({
      name,
      subject: z.string().min(1),
      num_requests: whole,
      num_errors: whole,
      last_error: z.string(),
      processing_time: whole,
      average_processing_time: whole,
      data: z.looseObject({}).optional(),
    }),
  ),
});
