/* The bytes of an artifact: digest, framing, documents. docs/artifact.md says what is refused. */
#include "artifact.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

enum { MIB = 1 << 20, LOCAL = 30, CENTRAL = 46, END = 22, SEAL = 64, DEEPEST = 32 };

static const char *const NAMES[2] = {"contract.json", "vectors.json"};
static const size_t LIMITS[2] = {4 * MIB, 16 * MIB};

void refuse(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("refused: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    exit(1);
}

void demand(bool holds, const char *otherwise) {
    if (!holds) refuse("%s", otherwise);
}

unsigned char *read_file(const char *path, size_t limit, size_t *size) {
    struct stat status;
    if (stat(path, &status) != 0 || !S_ISREG(status.st_mode)) refuse("%s is no file", path);
    if ((size_t)status.st_size > limit) refuse("%s is of more than %zu bytes", path, limit);
    *size = (size_t)status.st_size;
    unsigned char *content = malloc(*size + 1);
    FILE *file = fopen(path, "rb");
    if (!content || !file || fread(content, 1, *size, file) != *size) refuse("cannot read %s", path);
    fclose(file);
    return content;
}

void check_signature(const char *path, const unsigned char *content, size_t size,
                            const char *key_path) {
    char name[4096];
    size_t length;
    snprintf(name, sizeof name, "%s.sig", path);
    unsigned char *signature = read_file(name, 64, &length);
    FILE *file = fopen(key_path, "r");
    EVP_PKEY *key = file ? PEM_read_PUBKEY(file, NULL, NULL, NULL) : NULL;
    if (!key || EVP_PKEY_id(key) != EVP_PKEY_ED25519) refuse("%s is no Ed25519 key", key_path);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    demand(EVP_DigestVerifyInit(context, NULL, NULL, NULL, key) == 1 && length == 64 &&
               EVP_DigestVerify(context, signature, length, content, size) == 1,
           "it is not signed with this key");
}

void hexadecimal_sha256(const unsigned char *bytes, size_t size, char found[SEAL + 1]) {
    unsigned char digest[32];
    demand(EVP_Digest(bytes, size, digest, NULL, EVP_sha256(), NULL) == 1, "no SHA-256");
    for (int i = 0; i < 32; i++) sprintf(found + 2 * i, "%02x", digest[i]);
}

static uint32_t u32(const unsigned char *at) {
    return at[0] | at[1] << 8 | at[2] << 16 | (uint32_t)at[3] << 24;
}

static unsigned char *put(unsigned char *at, int bytes, uint32_t value) {
    for (; bytes > 0; bytes--, value >>= 8) *at++ = value & 0xff;
    return at;
}

/* What both headers of a member share: its version to its CRC-32 and its sizes, as they are. */
static unsigned char *put_shared(unsigned char *at, const unsigned char *sizes, int i) {
    const uint32_t values[5] = {20, 0, 8, 0, 0x21};
    for (int j = 0; j < 5; j++) at = put(at, 2, values[j]);
    memcpy(at, sizes, 12);
    at = put(at + 12, 2, (uint32_t)strlen(NAMES[i]));
    return put(at, 2, 0);
}

static void check_depth(const json_t *value, int depth) {
    const char *key;
    json_t *inner;
    size_t i;
    demand(depth < DEEPEST || !(json_is_object(value) || json_is_array(value)),
           "JSON is nested too deep");
    json_object_foreach((json_t *)value, key, inner) check_depth(inner, depth + 1);
    json_array_foreach(value, i, inner) check_depth(inner, depth + 1);
}

static json_t *inflated(const unsigned char *at, size_t deflated, size_t size, uint32_t crc, int i) {
    unsigned char *text = malloc(size + 1);
    z_stream stream = {.next_in = (unsigned char *)at, .avail_in = (uInt)deflated,
                       .next_out = text, .avail_out = (uInt)size + 1};
    demand(text && inflateInit2(&stream, -MAX_WBITS) == Z_OK, "no memory");
    if (inflate(&stream, Z_FINISH) != Z_STREAM_END || stream.avail_in || stream.total_out != size ||
        crc32(0, text, (uInt)size) != crc)
        refuse("%s is damaged", NAMES[i]);
    json_error_t error;
    json_t *document = json_loadb((char *)text, size, JSON_REJECT_DUPLICATES, &error);
    if (!document) refuse("%s is no JSON: %s", NAMES[i], error.text);
    check_depth(document, 0);
    return document;
}

size_t split(const unsigned char *content, size_t size, json_t *documents[2]) {
    const size_t directory = 2 * CENTRAL + strlen(NAMES[0]) + strlen(NAMES[1]);
    demand(size > END + SEAL + directory && memcmp(content + 4, "TFL3", 4) == 0, "no TFLite file");
    const size_t end = size - SEAL;
    demand(memcmp(content + end - END, "PK\5\6", 4) == 0 && content[end - 2] == SEAL, "no tail");
    char digest[SEAL + 1];
    hexadecimal_sha256(content, end, digest);
    demand(memcmp(digest, content + end, SEAL) == 0, "it differs from the digest at its end");

    unsigned char framing[1024], *at = framing;
    const unsigned char *sizes[2], *place = content + end - END - directory;
    size_t zip = END + directory, offset = 0;
    for (int i = 0; i < 2; i++) {
        sizes[i] = place + 16;
        if (u32(sizes[i] + 4) > LIMITS[i] || u32(sizes[i] + 8) > LIMITS[i])
            refuse("%s is too large", NAMES[i]);
        zip += LOCAL + strlen(NAMES[i]) + u32(sizes[i] + 4);
        place += CENTRAL + strlen(NAMES[i]);
    }
    demand(zip <= end, "its tail is damaged");
    const unsigned char *start = content + end - zip;
    for (int i = 0; i < 2; i++) {
        at = put_shared(put(framing, 4, 0x04034b50), sizes[i], i);
        memcpy(at, NAMES[i], strlen(NAMES[i]));
        demand(memcmp(start + offset, framing, LOCAL + strlen(NAMES[i])) == 0, "a header differs");
        offset += LOCAL + strlen(NAMES[i]) + u32(sizes[i] + 4);
    }
    size_t local = 0;
    at = framing;
    for (int i = 0; i < 2; i++) {
        at = put_shared(put(put(at, 4, 0x02014b50), 2, 3 << 8 | 20), sizes[i], i);
        at = put(put(put(put(at, 6, 0), 4, (uint32_t)0600 << 16), 4, (uint32_t)local), 0, 0);
        memcpy(at, NAMES[i], strlen(NAMES[i]));
        at += strlen(NAMES[i]);
        local += LOCAL + strlen(NAMES[i]) + u32(sizes[i] + 4);
    }
    at = put(put(put(put(put(at, 4, 0x06054b50), 4, 0), 2, 2), 2, 2), 4, (uint32_t)directory);
    at = put(put(at, 4, (uint32_t)local), 2, SEAL);
    demand(memcmp(start + offset, framing, (size_t)(at - framing)) == 0, "its directory differs");
    for (int i = 0; i < 2; i++) {
        start += LOCAL + strlen(NAMES[i]);
        const size_t deflated = u32(sizes[i] + 4);
        documents[i] = inflated(start, deflated, u32(sizes[i] + 8), u32(sizes[i]), i);
        start += deflated;
    }
    return end - zip;
}

json_t *get(const json_t *object, const char *key) {
    json_t *value = json_object_get(object, key);
    if (!value) refuse("no key %s", key);
    return value;
}
