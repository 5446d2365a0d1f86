#include "lab/certificates.hpp"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

namespace domicile::lab {
namespace {

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;

Key make_key() { return {EVP_EC_gen("P-256"), &EVP_PKEY_free}; }

bool add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, decltype(&X509_EXTENSION_free)> extension(
      X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()), &X509_EXTENSION_free);
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

bool fill(X509* certificate, EVP_PKEY* key, const std::string& common_name) {
  unsigned char serial[16];
  if (RAND_bytes(serial, sizeof serial) != 1) return false;
  serial[0] &= 0x7f;  // positive
  const std::unique_ptr<BIGNUM, decltype(&BN_free)> number(BN_bin2bn(serial, sizeof serial, nullptr), &BN_free);
  X509_set_version(certificate, 2);
  BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate));
  X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 30L * 24 * 3600);
  const bool named = !common_name.empty();
  const std::string value = named ? common_name : "Domicile";
  return X509_set_pubkey(certificate, key) == 1 &&
         X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), named ? "CN" : "O", MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(value.c_str()), -1, -1, 0) == 1;
}

std::string pem_of(X509* certificate) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> memory(BIO_new(BIO_s_mem()), &BIO_free);
  PEM_write_bio_X509(memory.get(), certificate);
  char* text = nullptr;
  const long size = BIO_get_mem_data(memory.get(), &text);
  return {text, static_cast<std::size_t>(size)};
}

std::string pem_of(EVP_PKEY* key) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> memory(BIO_new(BIO_s_mem()), &BIO_free);
  PEM_write_bio_PrivateKey(memory.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  char* text = nullptr;
  const long size = BIO_get_mem_data(memory.get(), &text);
  return {text, static_cast<std::size_t>(size)};
}

}  // namespace

struct Authority::State {
  Key key{nullptr, &EVP_PKEY_free};
  Certificate certificate{nullptr, &X509_free};
};

Authority::Authority(std::unique_ptr<State> state) : state_(std::move(state)) {}
Authority::Authority(Authority&&) noexcept = default;
Authority::~Authority() = default;

Result<Authority> Authority::make(const fs::path& directory) {
  auto state = std::make_unique<State>();
  state->key = make_key();
  state->certificate.reset(X509_new());
  X509* own = state->certificate.get();
  if (!state->key || !fill(own, state->key.get(), "Domicile lab authority") ||
      X509_set_issuer_name(own, X509_get_subject_name(own)) != 1 ||
      !add_extension(own, own, NID_basic_constraints, "critical,CA:TRUE") ||
      !add_extension(own, own, NID_key_usage, "critical,keyCertSign,cRLSign") ||
      !add_extension(own, own, NID_subject_key_identifier, "hash") ||
      X509_sign(own, state->key.get(), EVP_sha256()) == 0)
    return fail(Kind::failed, "cannot make the lab's certificate authority");
  CHECK_OK(make_directories(directory, 0755));
  CHECK_OK(write_file(directory / "ca.pem", pem_of(own)));
  return Authority(std::move(state));
}

Result<void> Authority::issue(const fs::path& stem, const CertificateName& name) const {
  const Key key = make_key();
  const Certificate certificate(X509_new(), &X509_free);
  std::string alternatives;
  for (const auto& dns : name.dns) alternatives += (alternatives.empty() ? "DNS:" : ",DNS:") + dns;
  for (const auto& ip : name.ip) alternatives += (alternatives.empty() ? "IP:" : ",IP:") + ip;
  X509* own = certificate.get();
  X509* issuer = state_->certificate.get();
  if (!key || !fill(own, key.get(), name.common_name) ||
      X509_set_issuer_name(own, X509_get_subject_name(issuer)) != 1 ||
      !add_extension(own, issuer, NID_basic_constraints, "critical,CA:FALSE") ||
      !add_extension(own, issuer, NID_key_usage, "critical,digitalSignature") ||
      !add_extension(own, issuer, NID_ext_key_usage, "serverAuth,clientAuth") ||
      !add_extension(own, issuer, NID_authority_key_identifier, "keyid") ||
      (!alternatives.empty() && !add_extension(own, issuer, NID_subject_alt_name, alternatives)) ||
      X509_sign(own, state_->key.get(), EVP_sha256()) == 0)
    return fail(Kind::failed, "cannot issue a certificate for " + name.common_name);
  CHECK_OK(write_secret(stem.string() + ".key", pem_of(key.get())));
  return write_file(stem.string() + ".pem", pem_of(own));
}

Result<std::string> serial_number(const fs::path& certificate) {
  const std::string text = TRY(read_file(certificate));
  const std::unique_ptr<BIO, decltype(&BIO_free)> memory(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())),
                                                         &BIO_free);
  const Certificate read(PEM_read_bio_X509(memory.get(), nullptr, nullptr, nullptr), &X509_free);
  if (!read) return fail(Kind::corrupt, certificate.string() + " is no certificate");
  const std::unique_ptr<BIGNUM, decltype(&BN_free)> number(
      ASN1_INTEGER_to_BN(X509_get_serialNumber(read.get()), nullptr), &BN_free);
  const std::unique_ptr<char, void (*)(char*)> hex(BN_bn2hex(number.get()), [](char* each) { OPENSSL_free(each); });
  return std::string(hex.get());
}

}  // namespace domicile::lab
