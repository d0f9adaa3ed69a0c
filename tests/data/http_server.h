// SPDX-License-Identifier: Apache-2.0
// A web server for one folder of files in memory, on 127.0.0.1, that can break
// off, forget ranges and change files.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace dblocks::data::testing {

class HttpServer {
 public:
  /// How it behaves; may be changed at any time under lock().
  struct Behaviour {
    std::map<std::string, std::string> files;  ///< by path: "/name"
    /// Bytes of a body after which the connection breaks; 0 = never.
    size_t break_after = 0;
    bool knows_ranges = true;
    std::string etag = "\"one\"";
  };
  struct Request {
    std::string path;
    std::string range;
    std::string if_range;
  };

  HttpServer() {
    socket_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::bind(socket_, reinterpret_cast<sockaddr*>(&address),
               sizeof(address)) != 0) {
      throw std::runtime_error("no port for a server");
    }
    ::listen(socket_, 8);
    socklen_t size = sizeof(address);
    ::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~HttpServer() {
    is_stopping_ = true;
    ::shutdown(socket_, SHUT_RDWR);
    thread_.join();
    ::close(socket_);
  }

  std::string url() const {
    return "http://127.0.0.1:" + std::to_string(port_);
  }
  /// Changes how it behaves.
  template <class Change>
  void with(const Change& change) {
    const std::lock_guard lock(mutex_);
    change(behaviour_);
  }
  std::vector<Request> requests() {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  void serve() {
    while (!is_stopping_) {
      const int peer = ::accept(socket_, nullptr, nullptr);
      if (peer >= 0) {
        answer(peer);
        ::close(peer);
      }
    }
  }

  static std::string header(const std::string& text, const std::string& name) {
    const size_t at = text.find("\r\n" + name + ": ");
    if (at == std::string::npos) {
      return "";
    }
    const size_t start = at + name.size() + 4;
    return text.substr(start, text.find("\r\n", start) - start);
  }

  void answer(int peer) {
    std::string text;
    char piece[4096];
    while (text.find("\r\n\r\n") == std::string::npos) {
      const ssize_t size = ::recv(peer, piece, sizeof(piece), 0);
      if (size <= 0) {
        return;
      }
      text.append(piece, static_cast<size_t>(size));
    }
    const std::lock_guard lock(mutex_);
    const size_t space = text.find(' ');
    const Request request{
        text.substr(space + 1, text.find(' ', space + 1) - space - 1),
        header(text, "Range"), header(text, "If-Range")};
    requests_.push_back(request);
    const auto file = behaviour_.files.find(request.path);
    if (file == behaviour_.files.end()) {
      send_all(peer, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
      return;
    }
    std::string body = file->second;
    std::string status = "200 OK";
    const bool is_same =
        request.if_range.empty() || request.if_range == behaviour_.etag;
    if (behaviour_.knows_ranges && !request.range.empty() && is_same) {
      const size_t first = std::stoul(request.range.substr(6));
      if (first >= body.size()) {
        send_all(peer, "HTTP/1.1 416 Range\r\nContent-Length: 0\r\n\r\n");
        return;
      }
      status = "206 Partial Content\r\nContent-Range: bytes " +
               std::to_string(first) + "-" + std::to_string(body.size() - 1) +
               "/" + std::to_string(body.size());
      body.erase(0, first);
    }
    send_all(peer, "HTTP/1.1 " + status + "\r\nETag: " + behaviour_.etag +
                       "\r\nConnection: close\r\nContent-Length: " +
                       std::to_string(body.size()) + "\r\n\r\n");
    if (behaviour_.break_after > 0 && body.size() > behaviour_.break_after) {
      body.resize(behaviour_.break_after);
    }
    send_all(peer, body);
  }

  static void send_all(int peer, const std::string& text) {
    size_t sent = 0;
    while (sent < text.size()) {
      const ssize_t size =
          ::send(peer, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
      if (size <= 0) {
        return;
      }
      sent += static_cast<size_t>(size);
    }
  }

  int socket_ = -1;
  int port_ = 0;
  std::atomic<bool> is_stopping_ = false;
  std::mutex mutex_;
  Behaviour behaviour_;
  std::vector<Request> requests_;
  std::thread thread_;
};

}  // namespace dblocks::data::testing
