/*
 * Reads answers with libhttp-parser. A line of stdin is one stream of answers: `H` or `G` (they answer HEAD, or
 * another method), the bytes of a portion, and the stream in hexadecimal digits. Each stream leads to lines of
 * stdout, one for each event, and the last of them is the outcome:
 *
 *   S status         a head is whole      C                the chunk without data has come
 *   N digits         a part of a name     E 0, E 1         an answer has ended; the connection is kept if 1
 *   V digits         a part of a value    X outcome        whole, incomplete, or the name of an error
 *   D digits         a part of the body
 */

#include <http_parser.h>
#include <stdio.h>
#include <string.h>

static int is_to_head;

static int print_hex(char kind, const char *at, size_t length) {
  printf("%c ", kind);
  for (size_t index = 0; index < length; index++) printf("%02x", (unsigned char)at[index]);
  putchar('\n');
  return 0;
}

static int on_name(http_parser *parser, const char *at, size_t length) {
  (void)parser;
  return print_hex('N', at, length);
}

static int on_value(http_parser *parser, const char *at, size_t length) {
  (void)parser;
  return print_hex('V', at, length);
}

static int on_body(http_parser *parser, const char *at, size_t length) {
  (void)parser;
  return print_hex('D', at, length);
}

/* The parser knows of no body that is missing, so its caller has to. 1 is for none. */
static int on_head(http_parser *parser) {
  int status = parser->status_code;
  printf("S %d\n", status);
  return is_to_head || status / 100 == 1 || status == 204 || status == 304 ? 1 : 0;
}

static int on_chunk(http_parser *parser) {
  if (parser->content_length == 0) puts("C");
  return 0;
}

static int on_end(http_parser *parser) {
  printf("E %d\n", http_should_keep_alive(parser) ? 1 : 0);
  return 0;
}

static int digit(char code) { return code <= '9' ? code - '0' : code - 'a' + 10; }

static const char *read_stream(const char *bytes, size_t length, size_t portion) {
  http_parser_settings settings;
  http_parser_settings_init(&settings);
  settings.on_header_field = on_name;
  settings.on_header_value = on_value;
  settings.on_headers_complete = on_head;
  settings.on_body = on_body;
  settings.on_chunk_header = on_chunk;
  settings.on_message_complete = on_end;
  http_parser parser;
  http_parser_init(&parser, HTTP_RESPONSE);
  for (size_t start = 0; start < length;) {
    size_t count = length - start < portion ? length - start : portion;
    size_t read = http_parser_execute(&parser, &settings, bytes + start, count);
    if (HTTP_PARSER_ERRNO(&parser) != HPE_OK) return http_errno_name(HTTP_PARSER_ERRNO(&parser));
    if (parser.upgrade) return "upgrade";
    if (read != count) return "stopped";
    start += count;
  }
  http_parser_execute(&parser, &settings, bytes, 0);
  return HTTP_PARSER_ERRNO(&parser) == HPE_OK ? "whole" : "incomplete";
}

int main(void) {
  static char line[1 << 21], bytes[1 << 20];
  while (fgets(line, sizeof line, stdin) != NULL) {
    char kind;
    size_t portion;
    int begin = 0;
    if (sscanf(line, "%c %zu %n", &kind, &portion, &begin) != 2 || begin == 0) return 2;
    const char *digits = line + begin;
    size_t length = 0;
    for (; digits[0] >= '0'; digits += 2) bytes[length++] = (char)(digit(digits[0]) << 4 | digit(digits[1]));
    is_to_head = kind == 'H';
    printf("X %s\n", read_stream(bytes, length, portion));
    fflush(stdout);
  }
  return 0;
}
