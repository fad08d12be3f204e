# The gateway's and the CLI's image. Two stages: what compiles is not in what runs; what runs is not root and writes nowhere.
ARG NODE_IMAGE=node:26-trixie-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /fairlead
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY cmd cmd
COPY src src
RUN node node_modules/typescript/bin/tsc -p tsconfig.build.json \
 && cp src/limits/redis/*.lua dist/src/limits/redis/ \
 && npm prune --omit=dev --ignore-scripts --no-audit --no-fund

FROM ${NODE_IMAGE}
ENV NODE_ENV=production MALLOC_ARENA_MAX=1
WORKDIR /fairlead
COPY --from=build /fairlead/package.json ./
COPY --from=build /fairlead/node_modules node_modules
COPY --from=build /fairlead/dist dist
# Numeric, so that a cluster's runAsNonRoot can judge it.
USER 65532:65532
ENTRYPOINT ["node", "--max-semi-space-size=8", "--enable-source-maps", "/fairlead/dist/cmd/fairlead/main.js"]
CMD ["--help"]
