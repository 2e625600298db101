//! A certificate that signs itself, for localhost, 127.0.0.1, ::1 and *.example.test, and another one
//! for other.example, both with P-256 keys and good until 2126. Made once with `openssl req -x509`.
//! The `even` one, for localhost, has an Ed25519 key: its signatures are all of one length.

pub const certificate =
    \\-----BEGIN CERTIFICATE-----
    \\MIIBujCCAV+gAwIBAgIUdZu9Ce+WZoI120t+fTkEX51S6AAwCgYIKoZIzj0EAwIw
    \\GjEYMBYGA1UEAwwPcGxhaXQgY29yZSB0ZXN0MCAXDTI2MTEyMzA5MzEwMFoYDzIx
    \\MjYxMDMwMDkzMTAwWjAaMRgwFgYDVQQDDA9wbGFpdCBjb3JlIHRlc3QwWTATBgcq
    \\hkjOPQIBBggqhkjOPQMBBwNCAATY6NeYJn6NNEaqn+cS/y63Hgbg82mgz7bRGKpC
    \\LoodGR1dBzJY5L9r164iL1PWT+VLnMspxoo1VPyn4yMjv8Nwo4GAMH4wDwYDVR0T
    \\AQH/BAUwAwEB/zAOBgNVHQ8BAf8EBAMCAYYwPAYDVR0RBDUwM4IJbG9jYWxob3N0
    \\gg4qLmV4YW1wbGUudGVzdIcEfwAAAYcQAAAAAAAAAAAAAAAAAAAAATAdBgNVHQ4E
    \\FgQUmB5/eMZw3Jm8b6XNYf8M7ywoi5QwCgYIKoZIzj0EAwIDSQAwRgIhALb0UBGj
    \\npiRWQ+eleRK/ty9kTmmryvcurWL4prdyU+DAiEA9k1rt6TdBIJVw5pOFrUyVuJ2
    \\0qLK3GA8u94ak2Ew0p0=
    \\-----END CERTIFICATE-----
;

pub const key =
    \\-----BEGIN PRIVATE KEY-----
    \\MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgefsgCpXnxnsk4as0
    \\X73Z3ZkdSwKwksLJlPOuFAzyrumhRANCAATY6NeYJn6NNEaqn+cS/y63Hgbg82mg
    \\z7bRGKpCLoodGR1dBzJY5L9r164iL1PWT+VLnMspxoo1VPyn4yMjv8Nw
    \\-----END PRIVATE KEY-----
;

/// The same key; the passphrase is "secret".
pub const encrypted_key =
    \\-----BEGIN ENCRYPTED PRIVATE KEY-----
    \\MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAg0okNCPLl9tgICCAAw
    \\DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEPbu16G0SJ32dBt+KEozUHMEgZDf
    \\6RbO2UWWGLJJ0U0Ao8tbWLArsAGX2Kqla3HJFBD1JyojRk6oqCMLA+k1DPyO+gHk
    \\3WkSz86E8EKWlUNFP+MaSjaDH/SWP8t7yvEeAqj/yh43NrQ2OHXrH+qSNr7GRM+R
    \\Rk5AUiylDxBSNLGG/BNB8HXDdW/rwT20fl6gNfMNx5kyaWPUsutRm6+eQoxQjhc=
    \\-----END ENCRYPTED PRIVATE KEY-----
;

pub const other_certificate =
    \\-----BEGIN CERTIFICATE-----
    \\MIIBljCCATygAwIBAgIUY5IMNfUBYlXXJKyZxlQ8XJEzdLQwCgYIKoZIzj0EAwIw
    \\GzEZMBcGA1UEAwwQcGxhaXQgb3RoZXIgdGVzdDAgFw0yNjExMjMwOTMxMDBaGA8y
    \\MTI2MTAzMDA5MzEwMFowGzEZMBcGA1UEAwwQcGxhaXQgb3RoZXIgdGVzdDBZMBMG
    \\ByqGSM49AgEGCCqGSM49AwEHA0IABMwxo71QM1Na8s3KSmUN49sbX/gcH8Wms3Cp
    \\reteSg/PhqM/pB+uShp1BMHrUp18gMxKeIQvFqO2icn8Exv6/EKjXDBaMA8GA1Ud
    \\EwEB/wQFMAMBAf8wDgYDVR0PAQH/BAQDAgGGMBgGA1UdEQQRMA+CDW90aGVyLmV4
    \\YW1wbGUwHQYDVR0OBBYEFKXsIwKhw0I38BW7h+fl3Qb/fnGBMAoGCCqGSM49BAMC
    \\A0gAMEUCIHGWpaDwJwxNs6LjiaU0eEbFOn9R59eEt/d+q5pwSxDEAiEA6Af3y0R2
    \\9msTl48YL1JNex8irEvVmCnexn6EpZnyymY=
    \\-----END CERTIFICATE-----
;

pub const other_key =
    \\-----BEGIN PRIVATE KEY-----
    \\MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgKHwxKOu2iCdexN67
    \\RmH2aapLFMkUJdu1P1AtrkNA+BmhRANCAATMMaO9UDNTWvLNykplDePbG1/4HB/F
    \\prNwqa3rXkoPz4ajP6QfrkoadQTB61KdfIDMSniELxajtonJ/BMb+vxC
    \\-----END PRIVATE KEY-----
;

/// Like the first one, for localhost, and valid until 2021.
pub const expired_certificate =
    \\-----BEGIN CERTIFICATE-----
    \\MIIBgzCCASigAwIBAgICEmcwCgYIKoZIzj0EAwIwHTEbMBkGA1UEAwwScGxhaXQg
    \\ZXhwaXJlZCB0ZXN0MB4XDTIwMDEwMTAwMDAwMFoXDTIxMDEwMTAwMDAwMFowHTEb
    \\MBkGA1UEAwwScGxhaXQgZXhwaXJlZCB0ZXN0MFkwEwYHKoZIzj0CAQYIKoZIzj0D
    \\AQcDQgAE2OjXmCZ+jTRGqp/nEv8utx4G4PNpoM+20RiqQi6KHRkdXQcyWOS/a9eu
    \\Ii9T1k/lS5zLKcaKNVT8p+MjI7/DcKNYMFYwDwYDVR0TAQH/BAUwAwEB/zAOBgNV
    \\HQ8BAf8EBAMCAYYwFAYDVR0RBA0wC4IJbG9jYWxob3N0MB0GA1UdDgQWBBSYHn94
    \\xnDcmbxvpc1h/wzvLCiLlDAKBggqhkjOPQQDAgNJADBGAiEAumaI0vPTosAuxfHg
    \\AXPA20JH4ePMc3OPDU2OsxTo+EgCIQDGKdphFNsQS2YA3iNzXsC2k/CdKnVM8g46
    \\z0VDgtD8xw==
    \\-----END CERTIFICATE-----
;

pub const even_certificate =
    \\-----BEGIN CERTIFICATE-----
    \\MIIBFjCByaADAgECAgEBMAUGAytlcDAPMQ0wCwYDVQQDDARldmVuMCAXDTI2MTEy
    \\NDA1NDgxNFoYDzIxMjYxMDMxMDU0ODE0WjAPMQ0wCwYDVQQDDARldmVuMCowBQYD
    \\K2VwAyEATtABbgrFCY4Qe08lJBoZf6X73I5qwsoJY/flZb/FsOCjSDBGMA8GA1Ud
    \\EwEB/wQFMAMBAf8wFAYDVR0RBA0wC4IJbG9jYWxob3N0MB0GA1UdDgQWBBTaZd3W
    \\NELZSEqYz53ifFV0dMz3CzAFBgMrZXADQQCJpgh/Zhzb/uqEQOCX8xkYKqNInKVq
    \\YSeaCWcvQZHKYCDfxB62kUxqoFnpg8xX4xs2r4bqU6d+nN9tvT2IPBsP
    \\-----END CERTIFICATE-----
;

pub const even_key =
    \\-----BEGIN PRIVATE KEY-----
    \\MC4CAQAwBQYDK2VwBCIEIJ6TgMBY/Oqxp2VHuAJxqHZZYB5mEaQpGdsGtY7QeGsJ
    \\-----END PRIVATE KEY-----
;

/// The revocation list of the even certificate's issuer, which is itself; nothing is revoked.
pub const even_revocations =
    \\-----BEGIN X509 CRL-----
    \\MIGXMEsCAQEwBQYDK2VwMA8xDTALBgNVBAMMBGV2ZW4XDTI2MTEyNDA1NTkxMloY
    \\DzIxMjYwNzIzMDU1OTEyWqAOMAwwCgYDVR0UBAMCAQEwBQYDK2VwA0EAY4BEQXcf
    \\gKGjzxb5bPtlDGUmSkahHIr5zusYng9M0cJWXP5hZF7pqzu9RwPH+GZqhVXELGRI
    \\5McwEtlz0UidBA==
    \\-----END X509 CRL-----
;
