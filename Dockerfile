# HemoStat as images: a static program and nothing else.
#
#   docker build -t hemostat .          needs the image below, from a registry
#   scripts/image.sh                    the same image from a build on this machine, without any registry

FROM rust:1.95-alpine AS build
RUN apk add --no-cache gcc make musl-dev
WORKDIR /src
COPY . .
# What stands in the programs does not depend on where they were built.
ENV SOURCE_DATE_EPOCH=0 \
    RUSTFLAGS="--remap-path-prefix=/src=. --remap-path-prefix=/usr/local/cargo=cargo" \
    CFLAGS="-ffile-prefix-map=/src=. -ffile-prefix-map=/usr/local/cargo=cargo"
RUN target="$(uname -m)-unknown-linux-musl" \
    && for program in hemostat hemostat-replay; do \
        cargo build --locked --profile dist --target "$target" --package "$program" \
        && mkdir -p "/image/$program/tmp" "/image/$program/etc" "/image/$program/var/lib/hemostat" \
        && install -m 0755 "target/$target/dist/$program" "/image/$program/" \
        && chmod 1777 "/image/$program/tmp" && chown 65532:65532 "/image/$program/var/lib/hemostat" || exit 1; \
    done \
    && find /image -exec touch -h -d @0 {} +

# scripts/image.sh reads the stages below: one instruction on a line, lists as JSON.

# Both programs in one image would be 35 MiB; who only runs agents does not need this one:
#   docker build --target hemostat-replay -t hemostat-replay .
FROM scratch AS hemostat-replay
COPY --from=build /image/hemostat-replay/ /
ENV PATH=/
LABEL hemostat.enable=false
LABEL org.opencontainers.image.title=hemostat-replay
LABEL org.opencontainers.image.licenses=MIT
USER 65532:65532
WORKDIR /var/lib/hemostat
ENTRYPOINT ["/hemostat-replay"]
CMD ["--help"]

FROM scratch AS hemostat
COPY --from=build /image/hemostat/ /
ENV PATH=/
ENV HEMOSTAT_HTTP_LISTEN=0.0.0.0:9090
ENV HEMOSTAT_DATA_DIR=/var/lib/hemostat
# A container of HemoStat is never healed by HemoStat; the sick ones of the demo set another value.
LABEL hemostat.enable=false
LABEL org.opencontainers.image.title=hemostat
LABEL org.opencontainers.image.licenses=MIT
USER 65532:65532
WORKDIR /var/lib/hemostat
EXPOSE 9090
HEALTHCHECK --interval=15s --timeout=6s --start-period=30s --retries=3 CMD ["/hemostat","healthcheck"]
ENTRYPOINT ["/hemostat"]
CMD ["--help"]
