/* The bytes of an artifact. Each function ends the process, with a reason, where it refuses. */
#ifndef ARTIFACT_H
#define ARTIFACT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

void refuse(const char *format, ...);
void demand(bool holds, const char *otherwise);

/* The whole of a regular file of at most `limit` bytes. */
unsigned char *read_file(const char *path, size_t limit, size_t *size);

/* FILE.sig must be the Ed25519 signature of the content by the key. */
void check_signature(const char *path, const unsigned char *content, size_t size,
                     const char *key_path);

void hexadecimal_sha256(const unsigned char *bytes, size_t size, char found[65]);

/* Returns the length of the model and the documents, contract.json and vectors.json; their zip must
 * be the only one that they can have, and be covered by the digest at the end of the file. */
size_t split(const unsigned char *content, size_t size, json_t *documents[2]);

/* A key that must be there. */
json_t *get(const json_t *object, const char *key);

#endif
