/** A name that Linux accepts for a network interface: at most 15 characters. */
export const INTERFACE_NAME: RegExp = /^[A-Za-z0-9_][^\s/:%]{0,14}$/;
