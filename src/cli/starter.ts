/** The documents `upshift init` writes: small, complete, and free of problems. */

export const STARTER: Record<string, string> = {
  'inventory.yaml': `# yaml-language-server: $schema=./schemas/inventory.json
kind: Inventory
defaults:
  product: my-service
  version: "1.0.0"
  connect:
    ssh: {user: root} # keys, ports and jump hosts: as in ~/.ssh/config
targets:
  - {id: node-1, labels: {zone: a}, connect: {ssh: {host: node-1.example}}}
  - {id: node-2, labels: {zone: b}, connect: {ssh: {host: node-2.example}}}
services:
  - {name: shop, on: [node-1, node-2], needs: 1} # works as long as one of them is up
`,
  'release.yaml': `# yaml-language-server: $schema=./schemas/release.json
kind: Release
product: my-service
version: "1.0.0"
scheme: semver
---
kind: Release
product: my-service
version: "1.1.0"
scheme: semver
artifacts:
  package: {name: my-service-1.1.0.tgz}
from:
  - {versions: ">=1.0.0 <1.1.0", kind: minor}
`,
  'procedure.yaml': `# yaml-language-server: $schema=./schemas/procedure.json
kind: Procedure
name: my-service
title: Install, restart, verify
observe: # read before anything is changed: a target in another state than planned is left alone
  action: ssh.run
  with: {command: my-service --version}
  version: result.stdout.trim()
start: install
states:
  install:
    title: Installing
    action: ssh.run
    with: {command: "my-service-install \${release.artifacts.package.name}"}
    timeout: 10m
    traits: {disruptive: true} # never repeats itself; survives a lost connection
    on: {success: verify, failure: failed}
  verify:
    title: Verifying
    action: ssh.run
    with: {command: my-service --health}
    traits: {idempotent: true}
    attempts: 5
    delay: 5s
    on: {success: upgraded, failure: failed}
  upgraded: {final: true}
  failed: {final: true, result: failed, remedy: Look at the log of the service.}
`,
  'upgrade.yaml': `# yaml-language-server: $schema=./schemas/upgrade.json
kind: Upgrade
name: my-service-1.1
product: my-service
to: "1.1.0"
procedure: my-service
stages:
  - name: nodes
    strategy: {parallel: 1, order: [target.labels.zone]}
    budget: {failures: 0} # the first failure stops it
    onFailure: suspend # and a person says how to go on
`,
};
