/** Deploys a single server as a test does, reports its folder, and waits to be killed. */
import { listen, say } from "../../processes/child-io.ts";
import { Deployment } from "../deployment.ts";

const deployment = await Deployment.make("single");
await deployment.must("up --single");
say({ state: deployment.state });
listen(() => {});
