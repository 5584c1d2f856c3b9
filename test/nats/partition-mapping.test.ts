/** partitionOf() against the subject mapping of a real server. */
import { connect } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import { partitionOf } from "../../src/group/partition.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer({
  config: `mappings {
    "one.*": "to.one.{{partition(7,1)}}.{{wildcard(1)}}"
    "many.*": "to.many.{{partition(1000003,1)}}.{{wildcard(1)}}"
    "two.*.*": "to.two.{{partition(64,1,2)}}.{{wildcard(1)}}.{{wildcard(2)}}"
    "turned.*.*": "to.turned.{{partition(64,2,1)}}.{{wildcard(1)}}.{{wildcard(2)}}"
  }`,
});

interface Mapping {
  readonly name: string;
  readonly partitions: number;
  /** The tokens in the order in which the mapping names them. */
  readonly key: (tokens: readonly string[]) => string | readonly string[];
}

/** Numbers, words, upper and lower case, letters of several bytes, long tokens. */
function tokenAt(index: number): string {
  const forms = [
    `${index}`,
    `order-${index}`,
    `K${index.toString(36).toUpperCase()}_`,
    `\u{e4}\u{4e2d}\u{1f600}${index}`,
  ];
  const form = forms[index % forms.length] as string;
  return index % 50 === 0 ? form.repeat(20) : form;
}

test.each<Mapping & { readonly tokens: number }>([
  { name: "one", partitions: 7, tokens: 1, key: ([token = ""]) => token },
  { name: "many", partitions: 1_000_003, tokens: 1, key: ([token = ""]) => token },
  { name: "two", partitions: 64, tokens: 2, key: (tokens) => tokens },
  { name: "turned", partitions: 64, tokens: 2, key: (tokens) => tokens.toReversed() },
])(
  "the server computes the same partition for 2 000 keys: mapping $name",
  async ({ name, partitions, tokens, key }) => {
    const connection = await connect({ servers: server.url });
    try {
      const subscription = connection.subscribe(`to.${name}.>`, { max: 2_000 });
      const keys = Array.from({ length: 2_000 }, (_, index) =>
        Array.from({ length: tokens }, (__, nth) => tokenAt(index * 3 + nth)),
      );
      for (const each of keys) connection.publish(`${name}.${each.join(".")}`);
      const received: string[] = [];
      for await (const { subject } of subscription) received.push(subject);
      expect(received).toEqual(
        keys.map((each) => `to.${name}.${partitionOf(key(each), partitions)}.${each.join(".")}`),
      );
    } finally {
      await connection.close();
    }
  },
);
