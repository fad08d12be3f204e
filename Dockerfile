# One image for the operator, the gateway and the CLI. What compiles is not in what runs; what runs has no shell and no distribution
# under it, is not root and writes nowhere.
ARG NODE_IMAGE=node:26-trixie-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /fairlead
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY cmd cmd
COPY src src
RUN node cmd/build/main.ts \
 && rm -rf dist/cmd/build dist/cmd/generate \
 && npm prune --omit=dev --ignore-scripts --no-audit --no-fund \
 && find node_modules -type f \( -iname '*.md' -o -name '*.ts' -o -name '*.mts' -o -name '*.cts' -o -name '*.map' \) -delete \
 && rm -r node_modules/.bin node_modules/.package-lock.json \
 && find node_modules -depth -type d -empty -delete
# Node, the libraries that it loads, and what a process expects to find where there is no distribution.
RUN mkdir -p /image/etc /image/fairlead /image/tmp \
 && chmod 1777 /image/tmp \
 && cp --parents -L $(ldd /usr/local/bin/node | grep -o '/[^ ]*') /usr/local/bin/node /image/ \
 && printf 'root:x:0:0::/:/\nfairlead:x:65532:65532::/fairlead:/\n' > /image/etc/passwd \
 && printf 'root:x:0:\nfairlead:x:65532:\n' > /image/etc/group \
 && printf 'hosts: files dns\n' > /image/etc/nsswitch.conf \
 && printf "#!/usr/local/bin/node --max-semi-space-size=8\nimport('/fairlead/dist/cmd/image/main.js');\n" > /image/usr/local/bin/fairlead \
 && chmod 755 /image/usr/local/bin/fairlead \
 && cp -r package.json dist node_modules /image/fairlead/

FROM scratch
COPY --from=build /image/ /
ENV PATH=/usr/local/bin NODE_ENV=production NODE_OPTIONS=--enable-source-maps MALLOC_ARENA_MAX=1
WORKDIR /fairlead
# Numeric, so that a cluster's runAsNonRoot can judge it.
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/fairlead"]
CMD ["--help"]
