#include "gate/tls.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <poll.h>

namespace domicile::gate {
namespace {

std::string tls_reason() {
  char text[160] = "";
  if (const auto code = ERR_get_error(); code != 0) ERR_error_string_n(code, text, sizeof text);
  ERR_clear_error();
  return text;
}

std::string common_name_of(X509* certificate) {
  char name[256] = "";
  const int size = X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, sizeof name);
  // One with a zero inside would be read as another name by whoever stops there.
  return size > 0 && std::string_view(name).size() == static_cast<std::size_t>(size) ? name : "";
}

std::string serial_of(X509* certificate) {
  const std::unique_ptr<BIGNUM, decltype(&BN_free)> number(
      ASN1_INTEGER_to_BN(X509_get_serialNumber(certificate), nullptr), &BN_free);
  char* hex = number ? BN_bn2hex(number.get()) : nullptr;
  const std::string out = hex == nullptr ? "" : hex;
  OPENSSL_free(hex);
  return out;
}

}  // namespace

void TlsSession::End::operator()(ssl_st* tls) const {
  (void)SSL_shutdown(tls);
  ERR_clear_error();
  SSL_free(tls);
}

void TlsServer::End::operator()(ssl_ctx_st* context) const { SSL_CTX_free(context); }

Result<TlsServer> TlsServer::make(const TlsFiles& files) {
  TlsServer out;
  out.context_ = {SSL_CTX_new(TLS_server_method()), End{}};
  SSL_CTX* context = out.context_.get();
  if (context == nullptr) return fail(Kind::failed, "no memory for TLS");
  if (SSL_CTX_use_certificate_chain_file(context, files.certificate.c_str()) != 1 ||
      SSL_CTX_use_PrivateKey_file(context, files.key.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_load_verify_locations(context, files.ca.c_str(), nullptr) != 1)
    return fail(Kind::invalid_input, "the gate's certificate, key or authority cannot be read: " + tls_reason(),
                "see gate.ca, gate.certificate and gate.key");
  SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  // A resumed session would skip the certificate.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  return out;
}

Result<TlsSession> TlsServer::accept(int fd, Micros deadline) const {
  TlsSession out;
  out.tls_.reset(SSL_new(context_.get()));
  ssl_st* tls = out.tls_.get();
  if (tls == nullptr || SSL_set_fd(tls, fd) != 1) return fail(Kind::failed, "no memory for TLS");
  for (int rc = SSL_accept(tls); rc != 1; rc = SSL_accept(tls)) {
    const int why = SSL_get_error(tls, rc);
    const short events = why == SSL_ERROR_WANT_READ ? POLLIN : why == SSL_ERROR_WANT_WRITE ? POLLOUT : 0;
    if (events == 0) return fail(Kind::refused, "the TLS handshake failed: " + tls_reason());
    if (!Wire(fd).wait(events, deadline)) return fail(Kind::unavailable, "the TLS handshake took too long");
  }
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(SSL_get1_peer_certificate(tls), &X509_free);
  if (!certificate || SSL_get_verify_result(tls) != X509_V_OK)
    return fail(Kind::refused, "the peer showed no certificate of the regions' authority");
  out.common_name_ = common_name_of(certificate.get());
  out.serial_ = serial_of(certificate.get());
  out.wire_ = Wire(fd, tls);
  return out;
}

}  // namespace domicile::gate
