/* Reproduces the test vectors of an artifact from the file alone, as docs/artifact.md describes it.
 *
 *     check FILE.tflite [PUBLIC_KEY.pem]
 *
 * One line a vector: the answers to its window, and, where the contract has a step, the answers
 * after its transactions one by one. Exit status 1 where one is not what the file says, or where
 * the file is refused. What a process frees by ending is not freed. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "artifact.h"
#include "litert.h"

enum { FILE_LIMIT = 64 << 20, LONGEST = 65536, MOST_INPUTS = 1000, MOST_STATE = 1000000 };

static const char *const ANSWERS[2] = {"fraud_probability", "ood_distance"};

static const char *text(const json_t *object, const char *key) {
    const char *value = json_string_value(get(object, key));
    if (!value) refuse("%s is no string", key);
    return value;
}

static double number(const json_t *value, const char *what) {
    if (!json_is_number(value)) refuse("%s is no number", what);
    return json_number_value(value);
}

static size_t whole(const json_t *value, json_int_t most, const char *what) {
    const json_int_t found = json_integer_value(value);
    if (!json_is_integer(value) || found < 1 || found > most)
        refuse("%s is not 1 to %lld", what, (long long)most);
    return (size_t)found;
}

/* One signature of the model, and the memory of its tensors. */

typedef struct {
    const char *name;
    int element_type;
    size_t count;
    LiteRtTensorBuffer buffer;
} Tensor;

typedef struct {
    LiteRtCompiledModel model;
    size_t index, sizes[2]; /* of inputs and outputs */
    Tensor *tensors[2];
    LiteRtTensorBuffer *buffers[2];
} Runner;

static void call(LiteRtStatus status, const char *what) {
    if (status != 0) refuse("LiteRT cannot %s: status %d", what, status);
}

static Runner runner(LiteRtEnvironment environment, LiteRtModel model, LiteRtCompiledModel compiled,
                     const char *key) {
    Runner made = {.model = compiled};
    LiteRtSignature signature = NULL;
    size_t signatures;
    const char *found = "";
    call(LiteRtGetNumModelSignatures(model, &signatures), "count signatures");
    for (; made.index < signatures; made.index++) {
        call(LiteRtGetModelSignature(model, made.index, &signature), "give a signature");
        call(LiteRtGetSignatureKey(signature, &found), "name a signature");
        if (strcmp(found, key) == 0) break;
    }
    if (made.index == signatures) refuse("the model has no signature %s", key);
    call(LiteRtGetNumSignatureInputs(signature, &made.sizes[0]), "count inputs");
    call(LiteRtGetNumSignatureOutputs(signature, &made.sizes[1]), "count outputs");
    for (int out = 0; out < 2; out++) {
        made.tensors[out] = calloc(made.sizes[out] + 1, sizeof(Tensor));
        made.buffers[out] = calloc(made.sizes[out] + 1, sizeof(LiteRtTensorBuffer));
        for (size_t i = 0; i < made.sizes[out]; i++) {
            Tensor *tensor = &made.tensors[out][i];
            LiteRtTensor described;
            LiteRtRankedTensorType type;
            call((out ? LiteRtGetSignatureOutputName : LiteRtGetSignatureInputName)(
                     signature, i, &tensor->name), "name a tensor");
            call((out ? LiteRtGetSignatureOutputTensorByIndex
                      : LiteRtGetSignatureInputTensorByIndex)(signature, i, &described),
                 "give a tensor");
            call(LiteRtGetRankedTensorType(described, &type), "give a shape");
            if (type.layout.rank != 2 || type.layout.dimensions[0] != 1)
                refuse("%s is not of shape [1, n]", tensor->name);
            tensor->element_type = type.element_type;
            tensor->count = (size_t)type.layout.dimensions[1];
            call(LiteRtCreateManagedTensorBuffer(environment, kLiteRtTensorBufferTypeHostMemory,
                                                 &type, 4 * tensor->count, &tensor->buffer),
                 "allocate a tensor");
            made.buffers[out][i] = tensor->buffer;
        }
    }
    return made;
}

/* Refuses another dtype or another count than what the contract says. */
static Tensor *tensor(Runner *runner, int out, const char *name, const char *dtype, size_t count) {
    const int type = strcmp(dtype, "int32") ? kLiteRtElementTypeFloat32 : kLiteRtElementTypeInt32;
    for (size_t i = 0; i < runner->sizes[out]; i++) {
        Tensor *found = &runner->tensors[out][i];
        if (strcmp(found->name, name)) continue;
        if (found->element_type != type || found->count != count)
            refuse("%s is not %s [1, %zu] in the model", name, dtype, count);
        return found;
    }
    refuse("the model has no %s", name);
    return NULL;
}

static void set(Tensor *tensor, const double *values) {
    void *memory;
    call(LiteRtLockTensorBuffer(tensor->buffer, &memory, kLiteRtTensorBufferLockModeWrite), "lock");
    for (size_t i = 0; i < tensor->count; i++)
        if (tensor->element_type == kLiteRtElementTypeInt32)
            ((int32_t *)memory)[i] = (int32_t)values[i];
        else
            ((float *)memory)[i] = (float)values[i];
    call(LiteRtUnlockTensorBuffer(tensor->buffer), "unlock");
}

static void copy_out(const Tensor *tensor, double *values) {
    void *memory;
    call(LiteRtLockTensorBuffer(tensor->buffer, &memory, kLiteRtTensorBufferLockModeRead), "lock");
    for (size_t i = 0; i < tensor->count; i++) values[i] = ((float *)memory)[i];
    call(LiteRtUnlockTensorBuffer(tensor->buffer), "unlock");
}

static void run(Runner *runner, double answers[2]) {
    call(LiteRtRunCompiledModel(runner->model, runner->index, runner->sizes[0], runner->buffers[0],
                                runner->sizes[1], runner->buffers[1]), "run");
    for (int j = 0; j < 2; j++) copy_out(tensor(runner, 1, ANSWERS[j], "float32", 1), &answers[j]);
}

static bool is_near(double answer, double expected, double tolerance) {
    const double scale = fmax(1, fmax(fabs(answer), fabs(expected)));
    return isfinite(answer) && fabs(answer - expected) <= tolerance * scale;
}

static bool shown(const char *by, const double answers[2], const double expected[2],
                  double tolerance) {
    const bool hit = is_near(answers[0], expected[0], tolerance) &&
                     is_near(answers[1], expected[1], tolerance);
    printf("  %s %.6f %.6f %s", by, answers[0], answers[1], hit ? "ok" : "MISS");
    return hit;
}

/* The numbers of a vector, [inputs][T]. */
static void read_inputs(const json_t *vector, const json_t *inputs, size_t length, double *values) {
    size_t i, t;
    json_t *input, *value;
    json_array_foreach(inputs, i, input) {
        const json_t *listed = get(get(vector, "inputs"), text(input, "name"));
        if (json_array_size(listed) != length) refuse("%s is too short or long", text(input, "name"));
        json_array_foreach(listed, t, value) {
            const double found = values[i * length + t] = number(value, "a value of a vector");
            if (strcmp(text(input, "dtype"), "int32") == 0)
                demand(found == trunc(found) && fabs(found) <= INT32_MAX, "an int32 is none");
            else
                demand(isfinite((float)found), "a float32 is none");
        }
    }
}

typedef struct {
    Runner runner;
    Tensor *transaction, *before, *after; /* before, after: the state */
} Step;

/* The answers after all transactions of a window, from the state before the first. */
static void walk(Step *step, size_t length, size_t valid, const double *values, double answers[2]) {
    const size_t inputs = step->transaction->count;
    double *state = calloc(step->before->count, sizeof *state);
    double *row = calloc(inputs, sizeof *row);
    answers[0] = answers[1] = NAN; /* of no transaction */
    for (size_t t = 0; t < length; t++) {
        if (values[valid * length + t] == 0) continue;
        for (size_t i = 0; i < inputs; i++) row[i] = values[i * length + t];
        set(step->transaction, row);
        set(step->before, state);
        run(&step->runner, answers);
        copy_out(step->after, state);
    }
    free(state);
    free(row);
}

int main(int count, char **arguments) {
    if (count < 2 || count > 3) refuse("usage: %s FILE.tflite [PUBLIC_KEY.pem]", arguments[0]);
    size_t size;
    unsigned char *content = read_file(arguments[1], FILE_LIMIT, &size);
    if (count == 3) check_signature(arguments[1], content, size, arguments[2]);
    json_t *documents[2], *input, *vector;
    const size_t model_size = split(content, size, documents);
    const json_t *contract = documents[0], *vectors = documents[1];

    demand(strcmp(text(contract, "format"), "fraudnet-artifact") == 0, "it is of another format");
    demand(json_integer_value(get(contract, "format_version")) == 2, "its version is not 2");
    const double tolerance = number(get(contract, "tolerance"), "tolerance");
    demand(tolerance > 0 && tolerance <= 0.1, "its tolerance is not 0 to 0.1");
    char digest[65];
    hexadecimal_sha256(content, model_size, digest);
    demand(strcmp(digest, text(contract, "model_sha256")) == 0, "the model is another one");
    const size_t length = whole(get(contract, "window_length"), LONGEST, "window_length");
    const json_t *inputs = get(contract, "inputs"), *step_terms = json_object_get(contract, "step");
    size_t i, valid = json_array_size(inputs);
    const size_t width = valid;
    demand(width >= 1 && width <= MOST_INPUTS, "inputs are not 1 to 1,000");
    demand(json_array_size(vectors) > 0, "no vector");

    LiteRtEnvironment environment;
    LiteRtModel model;
    LiteRtOptions options;
    LiteRtCompiledModel compiled;
    call(LiteRtCreateEnvironment(0, NULL, &environment), "start");
    call(LiteRtCreateModelFromBuffer(environment, content, model_size, &model), "load the model");
    call(LiteRtCreateOptions(&options), "make options");
    call(LiteRtSetOptionsHardwareAccelerators(options, kLiteRtHwAcceleratorCpu), "use the CPU");
    call(LiteRtCreateCompiledModel(environment, model, options, &compiled), "compile the model");

    Runner window = runner(environment, model, compiled, text(contract, "signature"));
    demand(window.index == 0, "its signature is not the first");
    demand(window.sizes[0] == width && window.sizes[1] == 2, "the model has other inputs");
    Tensor **places = calloc(width, sizeof *places);
    json_array_foreach(inputs, i, input) {
        places[i] = tensor(&window, 0, text(input, "name"), text(input, "dtype"), length);
        if (strcmp(text(input, "kind"), "valid") == 0) valid = i;
    }
    Step step = {0};
    if (step_terms) {
        demand(valid < width, "no input says which positions are transactions");
        const size_t held = whole(get(step_terms, "length"), MOST_STATE, "step.length");
        step.runner = runner(environment, model, compiled, text(step_terms, "signature"));
        demand(step.runner.sizes[0] == 2 && step.runner.sizes[1] == 3, "the step has other inputs");
        step.transaction = tensor(&step.runner, 0, "transaction", "float32", width);
        step.before = tensor(&step.runner, 0, "state", "float32", held);
        step.after = tensor(&step.runner, 1, "state", "float32", held);
    }

    bool all = true;
    size_t v;
    double *values = calloc(width * length, sizeof *values), expected[2], answers[2];
    json_array_foreach(vectors, v, vector) {
        read_inputs(vector, inputs, length, values);
        for (int j = 0; j < 2; j++)
            expected[j] = number(get(get(vector, "outputs"), ANSWERS[j]), ANSWERS[j]);
        for (i = 0; i < width; i++) set(places[i], values + i * length);
        run(&window, answers);
        printf("vector %zu: expected %.6f %.6f", v, expected[0], expected[1]);
        all &= shown("window", answers, expected, tolerance);
        if (step_terms) {
            walk(&step, length, valid, values, answers);
            all &= shown("step", answers, expected, tolerance);
        }
        putchar('\n');
    }
    return all ? 0 : 1;
}
